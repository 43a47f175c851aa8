"""The vector-quantised bottleneck."""

import contextlib
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from vqbn.bottleneck import operators
from vqbn.bottleneck.clock import Clock
from vqbn.bottleneck.distributed import effective_group, whole
from vqbn.bottleneck.following import Following, averaged_copies
from vqbn.bottleneck.kmeans import SEEDINGS
from vqbn.bottleneck.learner import CodebookLearner
from vqbn.bottleneck.normalization import MaskedBatchNorm
from vqbn.bottleneck.output import BottleneckOutput
from vqbn.bottleneck.padding import in_graph, seen_to_be_usable, valid_positions
from vqbn.bottleneck.reestimation import Reestimation
from vqbn.bottleneck.row_sums import add_rows
from vqbn.bottleneck.schedule import ReestimationSchedule
from vqbn.bottleneck.state import pack, unpack
from vqbn.bottleneck.wide_buffers import WideBuffers, wide_type

if TYPE_CHECKING:
    import numpy as np


class VQBottleneck(WideBuffers):
    """Replaces vectors by their nearest codewords, with codebooks that don't collapse.

    In order: batch normalisation if wanted; the linear projection, unless `projection` is off; the lookup; the
    straight-through estimator (section II). Without a projection the normalisation acts on the latents, one for all
    codebooks. Everything is computed in float32 (the type of the module's parameters), under autocast too; of a module
    in half precision the moving averages and the running statistics stay in float32.

    Without a projection, batch normalisation makes `quantized` and `codebook` vectors of the normalised space: not to
    be compared with the input, nor subtracted from it. `denormalize` maps `quantized` back into the input's space.

    With a `reestimation` schedule, nothing is quantised before the first clustering: `quantized` is the projection
    (without one what the codewords would be compared with, or with `denormalize` the input), the indices are -1 and the
    loss is 0.

    **Updates.** A training forward assigns vectors and accumulates; what changes the codebook (the moving average,
    clusterings) is done between two updates. After `follow(optimizer)` an update is a step of the optimiser. Without
    it every training forward is one, and what it left to do is done when the next begins.

    **Freezing.** In evaluation, and where no parameter requires gradients, nothing of this module changes, batch
    statistics included. `codebook_frozen = True` freezes the codebook alone, whatever `update` is: neither gradients,
    moving averages nor clusterings change it. Where it is a parameter, that is `codebook.requires_grad_(False)`.

    **Several processes.** If `torch.distributed` was initialised, batch statistics, counts, moving averages, the
    reservoir and the clustering are those of all processes' vectors, and all codebooks stay equal. Each process must
    then call the same training forwards. `process_group` (None: all processes) limits this to a group. With
    `DistributedDataParallel` no parameter is ever unused, and `broadcast_buffers=False` saves messages: the buffers
    are equal without them. `fully_shard`, and `FullyShardedDataParallel` with `use_orig_params=True`, need `follow`.

    **Not for** activation checkpointing in training (its second forward would count vectors twice), second derivatives
    through it, the transforms of `torch.func`, and `torch.jit.script`: all are refused.

    Args:
        input_dim: dimension of the vectors that come in.
        code_dim: dimension of those that go out: that of a codeword times `num_codebooks`.
        codebook_size: K, codewords per codebook.
        num_codebooks: the projection is cut into so many pieces, each with a codebook of its own.
        projection: whether a linear layer precedes the lookup; if not, `input_dim` must be `code_dim`.
        normalization: "none" or "batch".
        update: "gradient" (the codebook is a parameter) or "ema" (equation 4; the codebook is a buffer).
        ema_decay: γ of equation 4.
        commitment: weight of the commitment term.
        codebook_weight: weight of the codebook term; not used with "ema".
        codebook_init: "xavier" (uniform within ±sqrt(6 / (K + D))), "uniform" (within ±1/K), or a number b (uniform
            within ±b). Drawn from torch's global generator, as weights are.
        reestimation: when to cluster; None to train the initial codebook from the beginning.
        reservoir_size: vectors kept for a clustering; max(20480, 20 K) by default.
        seeding: of k-means: "k-means||", "k-means++" or "random".
        match: number new codewords like the old ones that they are nearest to; outputs don't depend on it.
        seed: of the reservoir and k-means.
        verbose: log every clustering as information (else for debugging only); printed to stderr where the program
            has not set logging up.
        balance: after each clustering, so many rounds of splitting the codewords used most in the place of those used
            least; 4 double the perplexity of codes with a lot of silence or background, at a slightly larger
            distance. The paper has none.
        denormalize: give `quantized`, and what `decode_indices` returns, in the input's space: the codewords through
            the inverse of the batch normalisation, with the statistics of that forward (those of the batch in training,
            the running ones in evaluation and for `decode_indices`). Gradients flow through the inverse too. Only with
            normalization="batch" and without a projection, which has no inverse. The loss stays that of the normalised
            space.

    Raises:
        ValueError: an argument is out of its range, or two don't go together.

    Attributes:
        codebook: codewords, (num_codebooks, K, code_dim / num_codebooks).
        ema_counts: N of equation 4, (num_codebooks, K), only with "ema".
        ema_sums: m of equation 4, like `codebook`, only with "ema".
        has_codewords: a scalar, 1 from the first clustering on (or always, without a schedule), before it 0. Loops that
            average weights carry it to their copies, which quantise where it is above 0.
    """

    wide_buffers = ("ema_counts", "ema_sums")
    # Whether the codebook in a forward is a copy that is thrown away after it.
    _sharded = False

    def __init__(
        self,
        input_dim: int,
        code_dim: int,
        codebook_size: int,
        num_codebooks: int = 1,
        projection: bool = True,
        normalization: str = "none",
        update: str = "gradient",
        ema_decay: float = 0.99,
        commitment: float = 0.25,
        codebook_weight: float = 1.0,
        codebook_init: str | float = "xavier",
        reestimation: ReestimationSchedule | None = None,
        reservoir_size: int | None = None,
        seeding: str = "k-means||",
        match: bool = True,
        seed: int = 0,
        verbose: bool = False,
        balance: int = 0,
        denormalize: bool = False,
    ):
        super().__init__()
        _check_positive(
            input_dim=input_dim, code_dim=code_dim, codebook_size=codebook_size, num_codebooks=num_codebooks
        )
        if code_dim % num_codebooks:
            raise ValueError(f"code_dim ({code_dim}) must be a multiple of num_codebooks ({num_codebooks})")
        if not projection and input_dim != code_dim:
            raise ValueError(f"without a projection input_dim ({input_dim}) must equal code_dim ({code_dim})")
        _check_choice("normalization", normalization, ("none", "batch"))
        if denormalize and (projection or normalization != "batch"):
            raise ValueError('denormalize undoes normalization="batch" without a projection: it needs projection=False')
        _check_choice("update", update, ("gradient", "ema"))
        _check_choice("seeding", seeding, SEEDINGS)
        if not 0 <= ema_decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, not {ema_decay}")
        if not (commitment >= 0 and codebook_weight >= 0):
            raise ValueError(f"commitment ({commitment}) and codebook_weight ({codebook_weight}) must not be negative")
        if isinstance(balance, bool) or not isinstance(balance, int):
            raise TypeError(f"balance must be an integer, not {balance!r}")
        if balance < 0:
            raise ValueError(f"balance must not be negative; got {balance}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be an integer, not {seed!r}")
        if seed < 0:
            raise ValueError(f"seed must not be negative; got {seed}")
        if reestimation is not None and not isinstance(reestimation, ReestimationSchedule):
            raise TypeError(f"reestimation must be a ReestimationSchedule or None, not {type(reestimation).__name__}")
        if reservoir_size is None:
            reservoir_size = max(20480, 20 * codebook_size)
        if reservoir_size < codebook_size:
            raise ValueError(
                f"reservoir_size ({reservoir_size}) must be at least codebook_size ({codebook_size}): "
                "there can't be fewer vectors than clusters"
            )
        self.input_dim = input_dim
        self.code_dim = code_dim
        self.codebook_size = codebook_size
        self.num_codebooks = num_codebooks
        self.codeword_dim = code_dim // num_codebooks
        self.update = update
        self.commitment = commitment
        self.codebook_weight = codebook_weight
        self.reestimation = reestimation
        self.denormalize = denormalize

        self.normalization = None
        if normalization == "batch":
            self.normalization = MaskedBatchNorm(input_dim if projection else self.codeword_dim)
        self.projection = nn.Linear(input_dim, code_dim) if projection else None
        bound = _initial_bound(codebook_init, codebook_size, self.codeword_dim)
        codebook = torch.empty(num_codebooks, codebook_size, self.codeword_dim).uniform_(-bound, bound)
        if update == "gradient":
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
            wide = wide_type(codebook.dtype)
            self.register_buffer("ema_counts", torch.ones(num_codebooks, codebook_size, dtype=wide))
            self.register_buffer("ema_sums", codebook.to(wide, copy=True))
        # A float, since many such loops pass over everything else.
        self.register_buffer("has_codewords", torch.full((), float(reestimation is None)))
        self.switch = None
        if not list(self.parameters()):
            # Freezing a model freezes its parameters: without any, this module would not notice.
            self.switch = nn.Parameter(torch.zeros(()))

        self.learner = CodebookLearner(
            num_codebooks,
            codebook_size,
            self.codeword_dim,
            ema_decay if update == "ema" else None,
            reestimation,
            reservoir_size,
            seeding,
            match,
            seed,
            verbose,
            _advice(normalization, update, reestimation),
            balance,
        )
        self._averages_frozen = False
        self._effects = torch.zeros(1)
        self._following: Following | None = None
        self._live: weakref.ref[VQBottleneck] | None = None

    @classmethod
    def from_codebook(
        cls,
        codebook: "torch.Tensor | np.ndarray",
        projection: bool = False,
        input_dim: int | None = None,
        **options,
    ) -> "VQBottleneck":
        """A bottleneck with codewords that exist: those of `kmeans`, or of the command vqbn-fit-codebook.

        It quantises from the start; with a `reestimation` schedule too, until that replaces the codewords. For units
        from frozen features, `from_codebook(codebook).eval()(features).indices` is all there is to do.

        Args:
            codebook: codewords (K, D), or (C, K, D) for C codebooks; copied, as float32 unless torch's default type
                is another.
            projection: as for the class, but off: the codewords are those of the vectors themselves.
            input_dim: as for the class; C·D by default.
            options: any other argument of the class but those that the codebook settles: code_dim, codebook_size,
                num_codebooks and codebook_init.

        Raises:
            ValueError: the codebook's shape isn't one of these, or a value isn't finite; or as the class.
            TypeError: an option isn't one of the class, or is settled by the codebook.
        """
        settled = {"code_dim", "codebook_size", "num_codebooks", "codebook_init"} & options.keys()
        if settled:
            raise TypeError(f"{', '.join(sorted(settled))}: settled by the codebook; leave it out")
        codewords = torch.as_tensor(codebook).detach()
        if codewords.dim() == 2:
            codewords = codewords.unsqueeze(0)
        if codewords.dim() != 3 or codewords.numel() == 0:
            raise ValueError(f"codebook must have the shape (K, D) or (C, K, D), not {tuple(codewords.shape)}")
        if not bool(codewords.isfinite().all()):
            raise ValueError("the codebook has non-finite values")
        num_codebooks, size, dim = codewords.shape
        code_dim = num_codebooks * dim
        bottleneck = cls(
            code_dim if input_dim is None else input_dim, code_dim, size, num_codebooks, projection, **options
        ).to(codewords.device)
        with torch.no_grad():
            bottleneck.codebook.copy_(codewords)
            if bottleneck.update == "ema":
                bottleneck.ema_sums.copy_(codewords)
            bottleneck.has_codewords.fill_(1)
        bottleneck.learner.clock.quantizing = True
        return bottleneck

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        # fully_shard leaves a part here between two forwards, and the whole, a copy, in them. They can't be told apart
        # from an ordinary parameter then.
        if name == "codebook" and hasattr(value, "full_tensor"):
            self.__dict__["_sharded"] = True

    def __getstate__(self) -> dict:
        # Neither a copy nor a file follows the optimiser, or stands for a live bottleneck.
        return self.__dict__ | {"_following": None, "_live": None}

    def extra_repr(self) -> str:
        return (
            f"{self.input_dim}, {self.code_dim}, codebook_size={self.codebook_size}, "
            f"num_codebooks={self.num_codebooks}, update={self.update}, reestimation={self.reestimation}"
        )

    def __prepare_scriptable__(self):
        """What torch.jit.script asks for; raises, since its own error would say nothing of why."""
        raise RuntimeError(
            "torch.jit.script can't compile VQBottleneck: use torch.compile to train, and torch.export.export or "
            "torch.jit.trace of the module in evaluation to take it elsewhere"
        )

    # --- Forward ------------------------------------------------------------------------------------------------------

    def forward(
        self,
        x: torch.Tensor,
        lengths: torch.Tensor | Sequence[int] | None = None,
        mask: torch.Tensor | None = None,
    ) -> BottleneckOutput:
        """Quantise vectors.

        A vector with a non-finite value, or one beyond 1e15, whose square float32 can't add up, has no code: it goes
        through as it is, so that the task's loss shows it.

        Args:
            x: (batch, time, input_dim), or (..., input_dim).
            lengths: integers (batch,), a tensor or a list, the valid positions of each sequence.
            mask: bool (...), True where a vector is real.

        Returns:
            `quantized` (..., code_dim), `indices` int64 (..., num_codebooks), -1 where there is no code, and `loss`, a
            scalar: the mean over quantised vectors and dimensions of `codebook_weight` times the codebook term plus
            `commitment` times the commitment term (equation 2).

        Raises:
            ValueError: a shape doesn't fit.
            TypeError: a type doesn't fit.
            RuntimeError: it is called under a transform of torch.func, or by activation checkpointing in training.
        """
        valid = self._checked_positions(x, lengths, mask)
        shape = x.shape[:-1]
        # Exported, the context would be an operator of its own that no other runtime knows.
        with contextlib.nullcontext() if _exporting() else torch.autocast(x.device.type, enabled=False):
            x = x.to(self.codebook.dtype).reshape(-1, self.input_dim)
            learning = self.training and self._is_trainable()
            if self.training and not learning:
                self._check_parameters_are_here()
            if valid is not None:
                valid = valid.reshape(-1)
            # Asked only where the answer spares something.
            asked = valid is not None or (learning and self.normalization is not None)
            whole = asked and seen_to_be_usable(x, valid, waiting=learning)
            if whole:
                valid = None
            elif valid is not None:
                x = x.masked_fill(~valid.unsqueeze(1), 0.0)
            latents, statistics = self._latents(x, valid, learning, whole)
            indices, all_coded = self._indices(latents, valid, learning)
            quantized, loss = self._quantize(latents, indices, valid, all_coded, x, statistics)
        return BottleneckOutput(
            quantized.reshape(*shape, self.code_dim), indices.reshape(*shape, self.num_codebooks), loss
        )

    def _checked_positions(
        self, x: torch.Tensor, lengths: torch.Tensor | Sequence[int] | None, mask: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Which positions are real, or None for all; raises as `forward` says."""
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"the input must be a floating-point tensor, not {type(x).__name__}")
        # A compiler has transforms of its own.
        if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
            raise RuntimeError(
                "VQBottleneck doesn't work under the transforms of torch.func (grad, vmap, jvp, ...): a forward counts "
                "vectors, and the lookup has no derivative; use loss.backward(), and leading dimensions for vmap"
            )
        if x.dim() == 0 or x.shape[-1] != self.input_dim:
            raise ValueError(f"the last dimension of the input must be {self.input_dim}; got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise TypeError(f"the input must be a floating-point tensor, not {x.dtype}")
        return valid_positions(x, lengths, mask)

    def _latents(
        self, x: torch.Tensor, valid: torch.Tensor | None, learning: bool, whole: bool = False
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:
        """What is compared with the codewords, (N, num_codebooks, codeword_dim), of `x` (N, input_dim).

        And the mean and the variance that the output is to be denormalised by, or None.

        `whole`: all of `x` is known to be real and finite.
        """
        group = effective_group(self.learner.process_group) if learning else None
        if self.projection is not None:
            if self.normalization is not None:
                x = self.normalization(x, valid, learning, group, whole)
            return self.projection(x).view(-1, self.num_codebooks, self.codeword_dim), None
        latents = x.view(-1, self.num_codebooks, self.codeword_dim)
        if self.normalization is not None:
            spread = None if valid is None else valid.repeat_interleave(self.num_codebooks)
            flat = latents.reshape(-1, self.codeword_dim)
            if self.denormalize:
                flat, *statistics = self.normalization.with_statistics(flat, spread, learning, group, whole)
                return flat.view_as(latents), tuple(statistics)
            latents = self.normalization(flat, spread, learning, group, whole).view_as(latents)
        return latents, None

    def _indices(self, latents: torch.Tensor, valid: torch.Tensor | None, learning: bool) -> tuple[torch.Tensor, bool]:
        """Code indices (N, num_codebooks), whether all are known to be codes; and all that a step leaves behind."""
        latents, codebook = latents.detach(), self.codebook
        if _exporting():
            return self.learner.assign(latents, codebook.detach(), valid, self.has_codewords)
        free = learning and self._codebook_is_free()
        if free and self._following is None:
            self._check_clusterings_last()
        with torch.no_grad():
            if in_graph(latents):
                number, effects = self.learner.number, self._effects
                if not learning:
                    return operators.assign(number, latents, codebook, valid, self.has_codewords), False
                if self._following is None:
                    operators.complete_update(number, codebook, self.has_codewords, *self._averages, free, effects)
                return operators.learn(number, latents, codebook, valid, free, effects), False
            # The same without the operators, which cost more than a small lookup.
            if not learning:
                return self.learner.assign(latents, codebook, valid, self.has_codewords)
            if self._following is None:
                self.learner.complete_update(codebook, self.has_codewords, *self._averages, free)
            return self.learner.learn(latents, codebook, valid, free)

    def _quantize(
        self,
        latents: torch.Tensor,
        indices: torch.Tensor,
        valid: torch.Tensor | None,
        all_coded: bool,
        x: torch.Tensor,
        statistics: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The output (N, num_codebooks, codeword_dim) and the loss; `all_coded`: no index is -1.

        With `statistics` the output is in the space of `x` (N, input_dim).
        """
        codebook = self.codebook.view(-1, self.codeword_dim)
        codebook_weight = self.codebook_weight if self.update == "gradient" else 0.0
        if all_coded:
            chosen, codes, number = None, self._rows(indices), max(1, indices.numel())
        else:
            chosen = (indices >= 0).unsqueeze(2)
            codes, number = self._rows(indices.clamp(min=0)), chosen.sum().clamp(min=1)
        if _exporting():
            quantized, _, distances = _quantize(latents, codebook, codes, chosen)
            distances = (self.commitment + codebook_weight) * distances
        else:
            quantized, distances = _Quantization.apply(
                latents, codebook, codes, chosen, self.commitment, codebook_weight
            )
        uncoded = latents
        if statistics is not None:
            quantized, uncoded = self.normalization.invert(quantized, *statistics), x.view_as(latents)
        if chosen is not None:
            quantized = torch.where(chosen, quantized, uncoded)
            if valid is not None:
                quantized = torch.where(valid.view(-1, 1, 1), quantized, 0.0)
        loss = distances / (number * self.codeword_dim)
        if self.switch is not None:
            loss = loss + 0.0 * self.switch
        return quantized, loss

    def _codewords(self, indices: torch.Tensor) -> torch.Tensor:
        """Codewords (N, num_codebooks, codeword_dim) of indices (N, num_codebooks), none of them negative."""
        return F.embedding(self._rows(indices), self.codebook.view(-1, self.codeword_dim))

    def _rows(self, indices: torch.Tensor) -> torch.Tensor:
        """Which rows of all codebooks, one below the other, indices (N, num_codebooks) stand for."""
        if self.num_codebooks == 1:
            return indices
        return indices + torch.arange(self.num_codebooks, device=indices.device) * self.codebook_size

    def decode_indices(self, indices: torch.Tensor) -> torch.Tensor:
        """Give codewords back: exactly what `quantized` was in evaluation, in the input's space with `denormalize`.

        Args:
            indices: integers (..., num_codebooks); -1 stands for padding and gives zeros.

        Returns:
            (..., code_dim).

        Raises:
            RuntimeError: nothing is quantised before the first clustering.
            TypeError: the indices aren't integers.
            ValueError: the last dimension isn't `num_codebooks`, or an index is out of range.
        """
        if indices.is_floating_point() or indices.dtype == torch.bool:
            raise TypeError(f"indices must be integers, not {indices.dtype}")
        if indices.shape[-1:] != (self.num_codebooks,):
            raise ValueError(f"indices must have the shape (..., {self.num_codebooks}), not {tuple(indices.shape)}")
        if not self.quantizing:
            raise RuntimeError("there are no codes yet: the first clustering is still to come")
        flat = indices.reshape(-1, self.num_codebooks).long()
        if not torch.compiler.is_compiling() and not bool(((flat >= -1) & (flat < self.codebook_size)).all()):
            raise ValueError(f"indices must be within -1..{self.codebook_size - 1}")
        codewords = self._codewords(flat.clamp(min=0))
        if self.denormalize:
            norm = self.normalization
            codewords = norm.invert(codewords, norm.running_mean, norm.running_var)
        codewords = torch.where((flat >= 0).unsqueeze(2), codewords, 0.0)
        return codewords.reshape(*indices.shape[:-1], self.code_dim)

    @torch.no_grad()
    def latents(
        self, x: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The vectors that are compared with the codewords, as evaluation computes them; nothing changes by it.

        Args:
            x, lengths, mask: as `forward` takes them.

        Returns:
            (n, num_codebooks, code_dim / num_codebooks), in order, for the n real vectors; no gradient.

        Raises:
            ValueError, TypeError: as `forward`.
        """
        valid = self._checked_positions(x, lengths, mask)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.codebook.dtype).reshape(-1, self.input_dim)
            latents, _ = self._latents(x, None, False)
            return latents if valid is None else latents[valid.reshape(-1)]

    def _is_trainable(self) -> bool:
        return any(parameter.requires_grad for parameter in self.parameters())

    def _check_parameters_are_here(self) -> None:
        # Each bottleneck has one, if only the switch.
        if not any(True for _ in self.parameters()):
            raise RuntimeError(
                "this VQBottleneck has no parameters of its own here, and can't be trained without: instead of "
                "nn.DataParallel use DistributedDataParallel; instead of FullyShardedDataParallel's default use "
                "fully_shard, or use_orig_params=True; if it is frozen, put it into evaluation: bottleneck.eval()"
            )

    def _check_clusterings_last(self) -> None:
        if self.update == "ema" or self.reestimation is None:
            return
        view = not isinstance(self.codebook, nn.Parameter) and effective_group(self.process_group) is not None
        if self._sharded or view:
            raise RuntimeError(
                "under FSDP a codebook can only be clustered between two forwards: call follow(optimizer) first"
            )

    def _codebook_is_free(self) -> bool:
        """Whether the codebook isn't frozen."""
        return self._is_trainable() and not self.codebook_frozen

    @property
    def _averages(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        return (self.ema_counts, self.ema_sums) if self.update == "ema" else (None, None)

    # --- Company ------------------------------------------------------------------------------------------------------

    def follow(
        self, optimizer: torch.optim.Optimizer, averaged: "nn.Module | Iterable[nn.Module] | None" = None
    ) -> None:
        """Tie the bottleneck's updates to an optimiser's steps.

        Steps that a gradient scaler skips don't count, forwards whose gradients are accumulated count as one update. A
        clustering puts the optimiser's moments of the codebook back to the beginning, and overwrites the codebook of
        averaged copies, which give the extra state of this bottleneck as theirs from now on.

        None of them is kept alive. A copy or an unpickled bottleneck follows nothing.

        Args:
            optimizer: the one that has the codebook, or any that steps once per update.
            averaged: averaged copies (`torch.optim.swa_utils.AveragedModel` and the like) of the bottleneck, or of a
                model that has no other bottleneck: one or several.

        Raises:
            ValueError: an averaged model doesn't hold exactly one bottleneck, or one of another shape.
            TypeError: something isn't a module.
        """
        copies = averaged_copies(averaged, VQBottleneck)
        for copy in copies:
            if copy is self or copy.codebook.shape != self.codebook.shape or copy.update != self.update:
                raise ValueError("averaged must hold a copy of this bottleneck, not itself or another one")
        self.unfollow()
        this = weakref.ref(self)

        def after_step() -> None:
            bottleneck = this()
            if bottleneck is not None:
                bottleneck._after_step()

        def after_end() -> None:
            bottleneck = this()
            if bottleneck is not None:
                bottleneck.unfollow()

        self._following = Following(optimizer, copies, after_step, after_end)
        self.learner.told = True
        for copy in copies:
            copy._live = this
            copy.learner.told = True
            copy.learner.clock = Clock(**self.learner.clock.state())

    def _after_step(self) -> None:
        renewed = self.learner.complete_update(
            self.codebook, self.has_codewords, *self._averages, self._codebook_is_free()
        )
        if renewed and isinstance(self.codebook, nn.Parameter):
            self._following.forget_moments(self.codebook)
        for copy in self._following.copies:
            copy.learner.clock = Clock(**self.learner.clock.state())
            if renewed:
                copy._take_over(self)

    def unfollow(self) -> None:
        """Count training forwards as updates again."""
        if self._following is None:
            return
        self.learner.told = False
        for copy in self._following.copies:
            copy._live = None
            copy.learner.told = False
        self._following.end()
        self._following = None

    @torch.no_grad()
    def _take_over(self, other: "VQBottleneck") -> None:
        """Become equal to `other` in what a clustering changes."""
        self.codebook.copy_(other.codebook)
        self.has_codewords.copy_(other.has_codewords)
        if self.update == "ema":
            self.ema_counts.copy_(other.ema_counts)
            self.ema_sums.copy_(other.ema_sums)

    # --- What to look at ----------------------------------------------------------------------------------------------

    @property
    def process_group(self) -> dist.ProcessGroup | None:
        """The processes that train this codebook together; None for all that there are."""
        return self.learner.process_group

    @process_group.setter
    def process_group(self, group: dist.ProcessGroup | None) -> None:
        self.learner.process_group = group

    @property
    def codebook_frozen(self) -> bool:
        """Whether the codebook stays as it is while the rest may train; to be set. No part of the state dict."""
        return not self.codebook.requires_grad if self.update == "gradient" else self._averages_frozen

    @codebook_frozen.setter
    def codebook_frozen(self, frozen: bool) -> None:
        if self.update == "gradient":
            self.codebook.requires_grad_(not frozen)
        else:
            self._averages_frozen = bool(frozen)

    @property
    def updates(self) -> int:
        """Updates done so far."""
        return self.learner.clock.updates

    @property
    def quantizing(self) -> bool:
        """Whether vectors are replaced by codewords: not before the first clustering."""
        return self.learner.quantizes(self.has_codewords)

    @property
    def reestimations(self) -> list[Reestimation]:
        """All clusterings so far, oldest first."""
        return list(self.learner.reestimations)

    @property
    def codeword_norm(self) -> float:
        """Mean Euclidean norm of the codewords; under FSDP for all processes to ask for."""
        shape = self.num_codebooks, self.codebook_size, self.codeword_dim
        codebook = whole(self.codebook.detach(), shape, effective_group(self.process_group))
        return codebook.float().norm(dim=2).mean().item()

    @property
    def encoder_norm(self) -> float | None:
        """Mean Euclidean norm of what was compared with them, in the last training forward of this process."""
        norm = self.learner.encoder_norm
        return None if norm is None else norm.item()

    @property
    def perplexity(self) -> float | None:
        """Perplexity of the codes of the last 50 updates or so that were looked at; lowest over codebooks."""
        return self.learner.alarm.perplexity

    # --- State --------------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> torch.Tensor:
        """The clock, the reservoir with its generator, what was accumulated, and the log, as one uint8 tensor.

        Its length depends on the class's arguments alone. Of a log of more than 1000 clusterings it holds the latest.
        An averaged copy gives that of the bottleneck that it is a copy of.
        """
        live = None if self._live is None else self._live()
        source = self if live is None else live
        learner = source.learner
        # The clock of a copy may not have heard of its codewords yet.
        learner.quantizes(source.has_codewords)
        return pack(*learner.state(), learner.state_length)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Continue from what `get_extra_state` gave.

        Raises:
            RuntimeError: it was damaged, or belongs to a bottleneck with another reservoir or codebook.
        """
        self.learner.load(*unpack(state))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest) -> None:
        name, extra = f"{prefix}has_codewords", f"{prefix}_extra_state"
        if name not in state_dict and extra in state_dict:
            # Saved before there was this buffer: the clock alone had it.
            values, _ = unpack(state_dict[extra])
            state_dict[name] = torch.full((), float(values["clock"]["quantizing"]))
        super()._load_from_state_dict(state_dict, prefix, *rest)
        # Of a copy that had averages written to it, the buffer alone has it.
        self.learner.quantizes(self.has_codewords)


class _Quantization(torch.autograd.Function):
    """Codewords in the place of vectors, with the straight-through estimator and the terms of equation 2.

    Both terms are the same squared distances, and differ only in where their gradient goes: written out, one
    difference serves them all. On a CPU every further array of N vectors costs as much as the arithmetic on it.
    """

    @staticmethod
    def forward(
        ctx,
        latents: torch.Tensor,
        codebook: torch.Tensor,
        codes: torch.Tensor,
        has_code: torch.Tensor | None,
        commitment: float,
        codebook_weight: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Quantise.

        Args:
            latents: (N, C, D).
            codebook: codewords of all codebooks, (C * K, D).
            codes: int64 (N, C), rows of `codebook`.
            has_code: bool (N, C, 1), or None if all have one; the others enter no distance.
            commitment: weight of the distances in the gradient of `latents`.
            codebook_weight: and in that of `codebook`.

        Returns:
            The codewords, (N, C, D), and the weighted sum of the squared distances, a scalar, at least float32.
        """
        codewords, difference, distances = _quantize(latents, codebook, codes, has_code)
        ctx.save_for_backward(difference, codes)
        ctx.commitment, ctx.codebook_weight = commitment, codebook_weight
        ctx.dtypes, ctx.size = (latents.dtype, codebook.dtype), len(codebook)
        return codewords, (commitment + codebook_weight) * distances

    @staticmethod
    def backward(ctx, gradient: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of `latents` and `codebook`."""
        # Gradients are recorded here only with create_graph=True. torch's once_differentiable would leave the term out
        # without a word where the gradient that comes in is a constant.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            raise RuntimeError("VQBottleneck has no second derivatives: don't use create_graph=True through it")
        difference, codes = ctx.saved_tensors
        for_latents = for_codebook = None
        if ctx.needs_input_grad[0]:
            for_latents = torch.addcmul(gradient, difference, 2 * ctx.commitment * weight).to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            rows = difference.flatten(0, 1)
            sums = add_rows(rows.new_zeros(ctx.size, rows.shape[1]), codes.flatten(), rows)
            for_codebook = (sums * (-2 * ctx.codebook_weight * weight)).to(ctx.dtypes[1])
        return for_latents, for_codebook, None, None, None, None


def _quantize(
    latents: torch.Tensor, codebook: torch.Tensor, codes: torch.Tensor, has_code: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The codewords, what the latents are more than they, and its sum of squares; arguments as `_Quantization`'s."""
    codewords = F.embedding(codes, codebook)
    wide = torch.promote_types(latents.dtype, torch.float32)
    difference = latents.to(wide) - codewords.to(wide)
    if has_code is not None:
        # Before it is squared or multiplied: zero times infinity is not zero.
        difference = torch.where(has_code, difference, 0.0)
    # By way of each row's norm, which reads the rows once and writes none.
    return codewords, difference, difference.norm(dim=2).square().sum()


def _exporting() -> bool:
    """Whether a graph is made for a runtime that doesn't know this package's operators."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export() or torch.jit.is_tracing()


def _advice(normalization: str, update: str, reestimation: ReestimationSchedule | None) -> str:
    """What to try if the codebook collapses."""
    wishes = []
    if normalization == "none":
        wishes.append('normalization="batch"')
    wishes.append("a ReestimationSchedule" if reestimation is None else "a ReestimationSchedule that lasts longer")
    if update == "gradient":
        wishes.append("a codebook learning rate ten times the other (parameter_groups)")
    if reestimation is None:
        wishes.append("a smaller codebook_init")
    return f"Try {', '.join(wishes)}."


def _initial_bound(init: str | float, size: int, dim: int) -> float:
    if init == "xavier":
        return (6 / (size + dim)) ** 0.5
    if init == "uniform":
        return 1 / size
    if isinstance(init, (int, float)) and not isinstance(init, bool) and init > 0:
        return float(init)
    raise ValueError(f'codebook_init must be "xavier", "uniform" or a positive number, not {init!r}')


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
