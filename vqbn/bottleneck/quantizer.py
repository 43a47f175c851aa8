"""The vector-quantised bottleneck."""

import logging
import time
import warnings
import weakref
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vqbn.bottleneck import operators
from vqbn.bottleneck.alarm import SHARE, UPDATES, CollapseAlarm
from vqbn.bottleneck.clock import Clock, Reestimation
from vqbn.bottleneck.distributed import broadcast_from_first, effective_group, row_counts
from vqbn.bottleneck.ema import ema_update
from vqbn.bottleneck.following import Following, averaged_copies
from vqbn.bottleneck.kmeans import SEEDINGS, kmeans, kmeans_inertia
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.matching import match_codes
from vqbn.bottleneck.normalization import MaskedBatchNorm
from vqbn.bottleneck.output import BottleneckOutput
from vqbn.bottleneck.padding import valid_positions
from vqbn.bottleneck.reservoir import Reservoir
from vqbn.bottleneck.schedule import ReestimationSchedule
from vqbn.bottleneck.state import pack, unpack

logger = logging.getLogger(__name__)

# What belongs to one object in one process, and neither to its copies nor to its file.
_PER_OBJECT = ("_following", "_live", "_number", "process_group")


class VQBottleneck(nn.Module):
    """Replaces vectors by their nearest codewords, with codebooks that don't collapse.

    In order: batch normalisation if wanted; the linear projection, unless `projection` is off; the lookup; the
    straight-through estimator (section II). Without a projection the normalisation acts on the latents, one for all
    codebooks. Everything is computed in float32 (the type of the module's parameters), under autocast too.

    With a `reestimation` schedule, nothing is quantised before the first clustering: `quantized` is the projection,
    the indices are -1 and the loss is 0.

    **Updates.** A training forward assigns vectors and accumulates; what changes the codebook (the moving average,
    clusterings) is done between two updates. After `follow(optimizer)` an update is a step of the optimiser. Without
    it every training forward is one, and what it left to do is done when the next begins.

    **Freezing.** In evaluation, and where no parameter requires gradients, nothing of this module changes, batch
    statistics included. A codebook that is a parameter and doesn't require gradients isn't clustered again.

    **Several processes.** If `torch.distributed` was initialised, batch statistics, counts, moving averages, the
    reservoir and the clustering are those of all processes' vectors, and all codebooks stay equal. Each process must
    then call the same training forwards. `process_group` (None: all processes) limits this to a group.

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
        verbose: log every clustering as information (else for debugging only).

    Raises:
        ValueError: an argument is out of its range, or two don't go together.

    Attributes:
        codebook: codewords, (num_codebooks, K, code_dim / num_codebooks).
        ema_counts: N of equation 4, (num_codebooks, K), only with "ema".
        ema_sums: m of equation 4, like `codebook`, only with "ema".
        reestimations: all clusterings so far, oldest first.
        process_group: the processes that train this codebook together; None for all.
    """

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
        _check_choice("update", update, ("gradient", "ema"))
        _check_choice("seeding", seeding, SEEDINGS)
        if not 0 <= ema_decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, not {ema_decay}")
        if not (commitment >= 0 and codebook_weight >= 0):
            raise ValueError(f"commitment ({commitment}) and codebook_weight ({codebook_weight}) must not be negative")
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
        self.normalize = normalization == "batch"
        self.update = update
        self.ema_decay = ema_decay
        self.commitment = commitment
        self.codebook_weight = codebook_weight
        self.reestimation = reestimation
        self.reservoir_size = reservoir_size
        self.seeding = seeding
        self.match = match
        self.seed = seed
        self.verbose = verbose

        self.normalization = None
        if self.normalize:
            self.normalization = MaskedBatchNorm(input_dim if projection else self.codeword_dim)
        self.projection = nn.Linear(input_dim, code_dim) if projection else None
        bound = _initial_bound(codebook_init, codebook_size, self.codeword_dim)
        codebook = torch.empty(num_codebooks, codebook_size, self.codeword_dim).uniform_(-bound, bound)
        if update == "gradient":
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
            self.register_buffer("ema_counts", torch.ones(num_codebooks, codebook_size))
            self.register_buffer("ema_sums", codebook.clone())
        if not any(True for _ in self.parameters()):
            # Freezing a model freezes its parameters: with none, this module could not tell.
            self.trainable = nn.Parameter(torch.zeros(()))

        self.clock = Clock(quantizing=reestimation is None, due=reestimation is not None and 1 in reestimation)
        self.reestimations: list[Reestimation] = []
        self.reservoir: Reservoir | None = None
        if reestimation is not None:
            self.reservoir = Reservoir(reservoir_size, code_dim, torch.Generator().manual_seed(seed))
        self._alarm = CollapseAlarm(codebook_size)
        self._new_counts: torch.Tensor | None = None
        self._new_sums: torch.Tensor | None = None
        self._encoder_norm: torch.Tensor | None = None
        self._effects = torch.zeros(1)
        self._become_an_object()

    def _become_an_object(self) -> None:
        self.process_group = None
        self._following: Following | None = None
        self._live: weakref.ref[VQBottleneck] | None = None
        self._number = operators.register(self)

    def __getstate__(self) -> dict:
        state = self.__dict__.copy()
        for name in _PER_OBJECT:
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._become_an_object()

    def extra_repr(self) -> str:
        return (
            f"{self.input_dim}, {self.code_dim}, codebook_size={self.codebook_size}, "
            f"num_codebooks={self.num_codebooks}, update={self.update}, reestimation={self.reestimation}"
        )

    # --- Forward ------------------------------------------------------------------------------------------------------

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> BottleneckOutput:
        """Quantise vectors.

        A vector with a non-finite value has no code: it goes through as it is, so that the task's loss shows it.

        Args:
            x: (batch, time, input_dim), or (..., input_dim).
            lengths: integers (batch,), the valid positions of each sequence.
            mask: bool (...), True where a vector is real.

        Returns:
            `quantized` (..., code_dim), `indices` int64 (..., num_codebooks), -1 where there is no code, and `loss`, a
            scalar: the mean over quantised vectors and dimensions of `codebook_weight` times the codebook term plus
            `commitment` times the commitment term (equation 2).

        Raises:
            ValueError: a shape doesn't fit.
            TypeError: a type doesn't fit.
        """
        if x.shape[-1] != self.input_dim:
            raise ValueError(f"the last dimension of the input must be {self.input_dim}; got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise TypeError(f"the input must be a floating-point tensor, not {x.dtype}")
        valid = valid_positions(x, lengths, mask)
        shape = x.shape[:-1]
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.codebook.dtype).reshape(-1, self.input_dim)
            if valid is not None:
                valid = valid.reshape(-1)
                x = torch.where(valid.unsqueeze(1), x, 0.0)
            learning = self.training and self.is_trainable
            latents = self._latents(x, valid, learning)
            indices = self._indices(latents, valid, learning)
            quantized, loss = self._quantize(latents, indices, valid)
        return BottleneckOutput(
            quantized.reshape(*shape, self.code_dim), indices.reshape(*shape, self.num_codebooks), loss
        )

    def _latents(self, x: torch.Tensor, valid: torch.Tensor | None, learning: bool) -> torch.Tensor:
        """What is compared with the codewords, (N, num_codebooks, codeword_dim), of `x` (N, input_dim)."""
        group = effective_group(self.process_group) if learning else None
        if self.projection is not None:
            if self.normalization is not None:
                x = self.normalization(x, valid, learning, group)
            return self.projection(x).view(-1, self.num_codebooks, self.codeword_dim)
        latents = x.view(-1, self.num_codebooks, self.codeword_dim)
        if self.normalization is not None:
            spread = None if valid is None else valid.repeat_interleave(self.num_codebooks)
            flat = self.normalization(latents.reshape(-1, self.codeword_dim), spread, learning, group)
            latents = flat.view_as(latents)
        return latents

    def _indices(self, latents: torch.Tensor, valid: torch.Tensor | None, learning: bool) -> torch.Tensor:
        """Code indices (N, num_codebooks), and all that a training step leaves behind."""
        latents, codebook = latents.detach(), self.codebook
        if _exporting():
            return self._assign(latents, codebook.detach(), valid)
        with torch.no_grad():
            if not learning:
                return operators.assign(self._number, latents, codebook, valid)
            if self._following is None:
                operators.complete_update(self._number, codebook, *self._ema, self._effects)
            return operators.learn(self._number, latents, codebook, valid, self._effects)

    def _quantize(
        self, latents: torch.Tensor, indices: torch.Tensor, valid: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The output (N, num_codebooks, codeword_dim) and the loss."""
        has_code = (indices >= 0).unsqueeze(2)
        codewords = self._codewords(indices.clamp(min=0))
        quantized = codewords if _exporting() else _StraightThrough.apply(latents, codewords)
        quantized = torch.where(has_code, quantized, latents)
        if valid is not None:
            quantized = torch.where(valid.view(-1, 1, 1), quantized, 0.0)

        values = has_code.sum().clamp(min=1) * self.codeword_dim
        # Zeroed before they are squared: a gradient of zero times infinity would not be zero.
        to_codebook = torch.where(has_code, latents - codewords.detach(), 0.0)
        loss = self.commitment * to_codebook.square().sum() / values
        if self.update == "gradient":
            to_latents = torch.where(has_code, codewords - latents.detach(), 0.0)
            loss = loss + self.codebook_weight * to_latents.square().sum() / values
        if hasattr(self, "trainable"):
            loss = loss + 0.0 * self.trainable
        return quantized, loss

    def _codewords(self, indices: torch.Tensor) -> torch.Tensor:
        """Codewords (N, num_codebooks, codeword_dim) of indices (N, num_codebooks), none of them negative."""
        first = torch.arange(self.num_codebooks, device=indices.device) * self.codebook_size
        return F.embedding(indices + first, self.codebook.view(-1, self.codeword_dim))

    def decode_indices(self, indices: torch.Tensor) -> torch.Tensor:
        """Give codewords back: exactly what `quantized` was in evaluation.

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
        if not self.clock.quantizing:
            raise RuntimeError("there are no codes yet: the first clustering is still to come")
        flat = indices.reshape(-1, self.num_codebooks).long()
        if not torch.compiler.is_compiling() and not bool(((flat >= -1) & (flat < self.codebook_size)).all()):
            raise ValueError(f"indices must be within -1..{self.codebook_size - 1}")
        codewords = torch.where((flat >= 0).unsqueeze(2), self._codewords(flat.clamp(min=0)), 0.0)
        return codewords.reshape(*indices.shape[:-1], self.code_dim)

    # --- Training -----------------------------------------------------------------------------------------------------

    @property
    def is_trainable(self) -> bool:
        """Whether any parameter requires gradients; if not, nothing changes in training either."""
        return any(parameter.requires_grad for parameter in self.parameters())

    @property
    def _ema(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        return (self.ema_counts, self.ema_sums) if self.update == "ema" else (None, None)

    def _assign(self, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Indices int64 (N, num_codebooks) of vectors; -1 where there is no code."""
        if not self.clock.quantizing:
            return torch.full(latents.shape[:2], -1, dtype=torch.int64, device=latents.device)
        usable = _usable(latents, valid)
        return torch.where(usable.unsqueeze(1), nearest_codes(latents, codebook), -1)

    def _learn(self, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Assign vectors and remember what the next update of the codebook needs of them.

        Args:
            latents: (N, num_codebooks, codeword_dim), no gradient.
            codebook: the codewords.
            valid: bool (N,), or None.

        Returns:
            Indices int64 (N, num_codebooks), -1 where there is no code.
        """
        usable = _usable(latents, valid)
        indices = torch.full(latents.shape[:2], -1, dtype=torch.int64, device=latents.device)
        vectors = latents[usable]
        found = nearest_codes(vectors, codebook) if self.clock.quantizing else None
        if found is not None:
            indices[usable] = found
        self._accumulate(vectors, found)
        self._encoder_norm = vectors.norm(dim=2).mean() if len(vectors) else self._encoder_norm
        self.clock.pending = True
        return indices

    def _accumulate(self, vectors: torch.Tensor, indices: torch.Tensor | None) -> None:
        """Count vectors of all processes, (N, num_codebooks, codeword_dim), and show them to the reservoir."""
        group = effective_group(self.process_group)
        parts = []
        if indices is not None:
            counts, sums = self._counts_and_sums(vectors, indices)
            parts = [counts] if sums is None else [counts, sums]
        kept = None
        if self._samples():
            kept, rows = self._draw(vectors.flatten(1), group)
            parts.append(rows)
        if not parts:
            return
        if group is not None:
            parts = _summed(parts, group)
        if kept is not None:
            self.reservoir.write(kept, parts.pop())
        if indices is not None:
            self._new_counts = parts[0].long() if self._new_counts is None else self._new_counts + parts[0].long()
            if self.update == "ema":
                self._new_sums = parts[1] if self._new_sums is None else self._new_sums + parts[1]

    def _counts_and_sums(
        self, vectors: torch.Tensor, indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """How many vectors each codeword took, (num_codebooks, K), and for EMA their sums, like the codebook."""
        size, codebooks = self.codebook_size, self.num_codebooks
        flat = (indices + torch.arange(codebooks, device=indices.device) * size).reshape(-1)
        counts = torch.bincount(flat, minlength=codebooks * size).view(codebooks, size).to(vectors.dtype)
        if self.update != "ema":
            return counts, None
        sums = vectors.new_zeros(codebooks * size, self.codeword_dim)
        # On a GPU index_add_ adds in any order; index_put_ sorts first, so that the result is always the same.
        if sums.device.type == "cpu":
            sums.index_add_(0, flat, vectors.reshape(-1, self.codeword_dim))
        else:
            sums.index_put_((flat,), vectors.reshape(-1, self.codeword_dim), accumulate=True)
        return counts, sums.view_as(self.codebook)

    def _samples(self) -> bool:
        """Whether a clustering is still to come that the vectors of this update can enter."""
        if self.reservoir is None or not self.codebook_is_trainable:
            return False
        return self.clock.due or self.clock.updates + 2 <= self.reestimation.last

    def _draw(
        self, rows: torch.Tensor, group: "torch.distributed.ProcessGroup | None"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Decide which rows of all processes, in rank order, the reservoir takes.

        Returns:
            Their slots, and the rows, (accepted, code_dim): zeros for those of other processes.
        """
        if group is None:
            slots, accepted = self.reservoir.draw(len(rows))
            return slots, rows[accepted.to(rows.device)]
        counts = row_counts(len(rows), group, rows.device)
        slots, accepted = self.reservoir.draw(sum(counts))
        local = (accepted - sum(counts[: torch.distributed.get_rank(group)])).to(rows.device)
        own = (local >= 0) & (local < len(rows))
        taken = rows.new_zeros(len(local), self.code_dim)
        taken[own] = rows[local[own]]
        return slots, taken

    @property
    def codebook_is_trainable(self) -> bool:
        """Whether the codebook may change in training."""
        return self.is_trainable and (self.update == "ema" or self.codebook.requires_grad)

    @torch.no_grad()
    def _complete_update(
        self, codebook: torch.Tensor, ema_counts: torch.Tensor | None, ema_sums: torch.Tensor | None
    ) -> None:
        """Do what is to be done between two updates, if there was a training forward since the last: change the
        given tensors, which are the module's, or stand for them."""
        if not self.clock.pending:
            return
        self.clock.pending = False
        self.clock.updates += 1
        counts, sums = self._new_counts, self._new_sums
        self._new_counts = self._new_sums = None
        if counts is not None:
            if self.update == "ema":
                ema_update(codebook, ema_counts, ema_sums, counts, sums.to(codebook.device), self.ema_decay)
            if self._alarm.update(counts):
                self._warn_of_collapse(codebook)
        if self.reestimation is not None and self.codebook_is_trainable:
            self._cluster_if_due(codebook, ema_counts, ema_sums)
        for copy in [] if self._following is None else self._following.copies:
            copy.clock = Clock(**self.clock.state())

    def _cluster_if_due(
        self, codebook: torch.Tensor, ema_counts: torch.Tensor | None, ema_sums: torch.Tensor | None
    ) -> None:
        update = self.clock.updates + 1
        planned = update in self.reestimation
        if not (planned or self.clock.due):
            return
        if len(self.reservoir) < self.codebook_size:
            self._log(
                logging.WARNING if planned or not self.clock.due else logging.DEBUG,
                f"no clustering for update {update}: {len(self.reservoir)} vectors for {self.codebook_size} codewords; "
                "trying again after every update",
            )
            self.clock.due = True
            return
        started = time.perf_counter()
        new, inertias, used = self._cluster(codebook)
        vectors = len(self.reservoir)
        codebook.copy_(new)
        if self.update == "ema":
            ema_counts.fill_(1)
            ema_sums.copy_(new)
        if self._following is not None:
            if isinstance(self.codebook, nn.Parameter):
                self._following.forget_moments(self.codebook)
            for copy in self._following.copies:
                copy._take_over(self)
        self.reservoir.reset()
        self._alarm.restart_window()
        self.clock.due = False
        self.clock.quantizing = True
        done = Reestimation(update, vectors, *inertias, used, time.perf_counter() - started)
        self.reestimations.append(done)
        self._log(
            logging.INFO if self.verbose else logging.DEBUG,
            f"clustered {vectors} vectors for update {update} in {done.seconds:.1f} s: mean squared distance "
            f"{done.inertia_before:.4g} before, {done.inertia_after:.4g} now; "
            f"{used} of {self.num_codebooks * self.codebook_size} codewords used",
        )

    def _cluster(self, codebook: torch.Tensor) -> tuple[torch.Tensor, tuple[float, float], int]:
        """A new codebook from the reservoir, made by the first process.

        Returns:
            The codebook, the mean squared distances before and after, and how many codewords are used.
        """
        group = effective_group(self.process_group)
        new = torch.empty_like(codebook)
        # Whether it went well, the inertias, the codewords used.
        figures = torch.zeros(4, dtype=torch.float64, device=codebook.device)
        error = None
        if group is None or torch.distributed.get_rank(group) == 0:
            try:
                figures[1:] = torch.tensor(self._cluster_here(codebook, new), dtype=torch.float64)
                figures[0] = 1
            except Exception as raised:
                # The others wait for this process: they have to hear of it.
                error = raised
        if group is not None:
            broadcast_from_first(figures, group)
        went_well, before, after, used = figures.tolist()
        if error is not None:
            raise error
        if not went_well:
            raise RuntimeError("the clustering failed on the first process; its error says why")
        if group is not None:
            broadcast_from_first(new, group)
        return new, (before, after), int(used)

    def _cluster_here(self, codebook: torch.Tensor, new: torch.Tensor) -> tuple[float, float, int]:
        """Write a codebook made from the reservoir into `new`; the figures for `Reestimation`."""
        vectors = self.reservoir.sample().to(codebook.device)
        before = after = used = 0
        for c, part in enumerate(vectors.split(self.codeword_dim, dim=1)):
            # One of its own for each clustering: processes that don't cluster need not keep it in step.
            entropy = np.random.SeedSequence([self.seed, len(self.reestimations), c]).generate_state(1, np.uint64)
            generator = torch.Generator().manual_seed(int(entropy[0] >> 1))
            centroids = kmeans(part, self.codebook_size, init=self.seeding, generator=generator).to(codebook.dtype)
            # The first codewords come from no data: their numbers mean nothing.
            if self.match and self.clock.quantizing:
                centroids = centroids[match_codes(centroids, codebook[c])]
            before += kmeans_inertia(part, codebook[c])[0]
            inertia, counts = kmeans_inertia(part, centroids)
            after += inertia
            used += int((counts > 0).sum())
            new[c] = centroids
        return before / len(vectors), after / len(vectors), used

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
                bottleneck._complete_update(bottleneck.codebook, *bottleneck._ema)

        def after_end() -> None:
            bottleneck = this()
            if bottleneck is not None:
                bottleneck.unfollow()

        self._following = Following(optimizer, copies, after_step, after_end)
        for copy in copies:
            copy._live = this
            copy.clock = Clock(**self.clock.state())

    def unfollow(self) -> None:
        """Count training forwards as updates again."""
        if self._following is None:
            return
        for copy in self._following.copies:
            copy._live = None
        self._following.end()
        self._following = None

    @torch.no_grad()
    def _take_over(self, other: "VQBottleneck") -> None:
        """Become equal to `other` in what a clustering changes."""
        self.codebook.copy_(other.codebook)
        if self.update == "ema":
            self.ema_counts.copy_(other.ema_counts)
            self.ema_sums.copy_(other.ema_sums)

    # --- What to look at ----------------------------------------------------------------------------------------------

    @property
    def updates(self) -> int:
        """Updates done so far."""
        return self.clock.updates

    @property
    def quantizing(self) -> bool:
        """Whether vectors are replaced by codewords: not before the first clustering."""
        return self.clock.quantizing

    @property
    def codeword_norm(self) -> float:
        """Mean Euclidean norm of the codewords."""
        return self.codebook.detach().float().norm(dim=2).mean().item()

    @property
    def encoder_norm(self) -> float | None:
        """Mean Euclidean norm of what was compared with them in the last training forward of this process."""
        return None if self._encoder_norm is None else self._encoder_norm.item()

    @property
    def perplexity(self) -> float | None:
        """Perplexity of the codes of a recent stretch of training, 50 updates or more; lowest over codebooks."""
        return self._alarm.perplexity

    def _warn_of_collapse(self, codebook: torch.Tensor) -> None:
        if not self._speaks():
            return
        norm = codebook.detach().float().norm(dim=2).mean().item()
        ratio = f"{norm / self.encoder_norm:.2g}" if self.encoder_norm else "unknown"
        advice = []
        if not self.normalize:
            advice.append('normalization="batch"')
        if self.reestimation is None:
            advice.append("a ReestimationSchedule")
        advice.append("a smaller codebook_init" if self.reestimation is None else "a schedule that lasts longer")
        if self.update == "gradient":
            advice.append("a codebook learning rate 10 times the other (parameter_groups)")
        warnings.warn(
            f"the codebook has collapsed: its perplexity, {self._alarm.perplexity:.1f}, has been under {SHARE:.0%} of "
            f"{self.codebook_size} codewords for {UPDATES} updates. The mean norm of the codewords is {ratio} times "
            f"that of the encoder's outputs; much more than 1 lets few codewords win. Try {', '.join(advice)}.",
            RuntimeWarning,
            stacklevel=2,
        )

    def _log(self, level: int, message: str) -> None:
        if self._speaks():
            logger.log(level, message)

    def _speaks(self) -> bool:
        """Whether this process is the one that reports."""
        group = effective_group(self.process_group)
        return group is None or torch.distributed.get_rank(group) == 0

    # --- State --------------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> torch.Tensor:
        """The clock, the reservoir with its generator, what was accumulated, and the log, as one uint8 tensor.

        An averaged copy gives that of the bottleneck that it is a copy of.
        """
        live = None if self._live is None else self._live()
        if live is not None:
            return live.get_extra_state()
        alarm, tensors = self._alarm.state()
        if self._new_counts is not None:
            tensors["new_counts"] = self._new_counts
        if self._new_sums is not None:
            tensors["new_sums"] = self._new_sums.float()
        values = {
            "clock": self.clock.state(),
            "alarm": alarm,
            "reestimations": [done.state() for done in self.reestimations],
        }
        if self.reservoir is not None:
            tensors |= {f"reservoir.{name}": tensor for name, tensor in self.reservoir.state_dict().items()}
        return pack(values, tensors)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Continue from what `get_extra_state` gave.

        Raises:
            RuntimeError: it was damaged, or belongs to a bottleneck with another reservoir or codebook.
        """
        values, tensors = unpack(state)
        for name in ("new_counts", "new_sums"):
            if name in tensors and tensors[name].shape[:2] != self.codebook.shape[:2]:
                raise RuntimeError(
                    f"the extra state counts codes of {tuple(tensors[name].shape[:2])} codebooks and codewords; "
                    f"this bottleneck has {tuple(self.codebook.shape[:2])}"
                )
        if self.reservoir is not None:
            saved = {
                name.removeprefix("reservoir."): tensor
                for name, tensor in tensors.items()
                if name.startswith("reservoir.")
            }
            if not saved and not values["clock"]["quantizing"]:
                raise RuntimeError("the extra state has no reservoir, but the first clustering is still to come")
            if saved:
                try:
                    self.reservoir.load_state_dict(saved)
                except ValueError as error:
                    raise RuntimeError(f"the reservoir of the extra state doesn't fit: {error}") from None
        self.clock = Clock(**values["clock"])
        self.reestimations = [Reestimation(**done) for done in values["reestimations"]]
        device, dtype = self.codebook.device, self.codebook.dtype
        self._new_counts = tensors["new_counts"].to(device) if "new_counts" in tensors else None
        self._new_sums = tensors["new_sums"].to(device, dtype) if "new_sums" in tensors else None
        self._alarm.load(values["alarm"], tensors)


class _StraightThrough(torch.autograd.Function):
    """The codewords, with the gradient given to the vectors that they stand for (section II)."""

    @staticmethod
    def forward(ctx, latents: torch.Tensor, codewords: torch.Tensor) -> torch.Tensor:
        return codewords.clone()

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def _usable(latents: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Bool (N,): which vectors are real and finite."""
    finite = latents.isfinite().flatten(1).all(1)
    return finite if valid is None else finite & valid


def _summed(parts: list[torch.Tensor], group: "torch.distributed.ProcessGroup") -> list[torch.Tensor]:
    """Add up tensors over processes in one message."""
    flat = torch.cat([part.reshape(-1) for part in parts])
    torch.distributed.all_reduce(flat, group=group)
    pieces = flat.split([part.numel() for part in parts])
    return [piece.view_as(part) for piece, part in zip(pieces, parts, strict=True)]


def _exporting() -> bool:
    """Whether a graph is made for a runtime that doesn't know this package's operators."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export() or torch.jit.is_tracing()


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
