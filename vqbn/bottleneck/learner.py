"""What a codebook learns from training beside gradients: moving averages and clusterings."""

import logging
import sys
import time
import warnings

import torch
import torch.distributed as dist

from vqbn.bottleneck import operators
from vqbn.bottleneck.alarm import SHARE, UPDATES, CollapseAlarm
from vqbn.bottleneck.clock import Clock, Lineage
from vqbn.bottleneck.distributed import effective_group, overwrite, row_counts, sum_together, whole
from vqbn.bottleneck.ema import ema_update
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.padding import in_graph, seen_to_be_usable, usable
from vqbn.bottleneck.reestimation import (
    Reestimation,
    log_from_tensor,
    log_rows,
    log_to_tensor,
    reestimate_together,
)
from vqbn.bottleneck.reservoir import Reservoir
from vqbn.bottleneck.row_sums import add_rows
from vqbn.bottleneck.schedule import ReestimationSchedule
from vqbn.bottleneck.state import largest_length

logger = logging.getLogger(__name__)

# Training forwards that nobody accumulates gradients over before an update.
_MANY_FORWARDS = 100


class CodebookLearner:
    """The bookkeeping of a `VQBottleneck`: all that is neither a parameter nor a buffer.

    In a training forward `learn` assigns vectors and accumulates. Between two updates `complete_update` changes the
    codebook. The codebook and its moving averages belong to the bottleneck and are passed in.

    Args:
        num_codebooks: C.
        codebook_size: K.
        codeword_dim: D.
        ema_decay: γ of equation 4, or None if gradients train the codebook.
        schedule: when to cluster; None for never.
        reservoir_size: vectors kept for a clustering.
        seeding: of k-means.
        match: number new codewords like the old ones.
        seed: of the reservoir and k-means.
        verbose: log every clustering as information; where logging is not set up, print it to stderr.
        advice: what to try if the codebook collapses.
        balancing: rounds of balancing after each clustering.

    Attributes:
        clock: updates, and whether vectors are quantised yet.
        reservoir: a sample of the vectors since the last clustering, or None without a schedule.
        reestimations: all clusterings so far; after `load` the latest of them.
        clusterings: how many there were.
        alarm: the watch over the perplexity.
        encoder_norm: mean norm of the vectors of the last training forward, or None.
        told: whether `follow` ties the bottleneck to an optimiser, or to the bottleneck that it is an averaged copy of.
        process_group: the processes that train the codebook together; None for all.
        number: what the compiled operators know this object by.
    """

    def __init__(
        self,
        num_codebooks: int,
        codebook_size: int,
        codeword_dim: int,
        ema_decay: float | None,
        schedule: ReestimationSchedule | None,
        reservoir_size: int,
        seeding: str,
        match: bool,
        seed: int,
        verbose: bool,
        advice: str,
        balancing: int = 0,
    ):
        self.num_codebooks = num_codebooks
        self.codebook_size = codebook_size
        self.codeword_dim = codeword_dim
        self.ema_decay = ema_decay
        self.schedule = schedule
        self.seeding = seeding
        self.match = match
        self.seed = seed
        self.verbose = verbose
        self.advice = advice
        self.balancing = balancing
        self.clock = Clock(quantizing=schedule is None, due=schedule is not None and 1 in schedule)
        self.reservoir: Reservoir | None = None
        if schedule is not None:
            generator = torch.Generator().manual_seed(seed)
            self.reservoir = Reservoir(reservoir_size, num_codebooks * codeword_dim, generator)
        self.reestimations: list[Reestimation] = []
        self.clusterings = 0
        self.alarm = CollapseAlarm(codebook_size)
        self.encoder_norm: torch.Tensor | None = None
        self._counts: torch.Tensor | None = None
        self._sums: torch.Tensor | None = None
        self.told = False
        self._lineage = Lineage()
        self._warned_of_no_codewords = False
        self._forwards = 0
        self.process_group: dist.ProcessGroup | None = None
        self.number = operators.register(self)

    def __getstate__(self) -> dict:
        apart = {"process_group": None, "number": None, "told": False, "_warned_of_no_codewords": False}
        return self.__dict__ | apart

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.number = operators.register(self)

    # --- In a forward -------------------------------------------------------------------------------------------------

    def quantizes(self, has_codewords: torch.Tensor) -> bool:
        """Whether vectors are replaced by codewords.

        Args:
            has_codewords: a scalar above 0 if the codebook has been clustered. A copy that others write averages to
                hears of it so, and only so.
        """
        if not self.clock.quantizing and not in_graph(has_codewords) and has_codewords > 0:
            self.clock.quantizing = True
            if has_codewords < 0.99 and self._speaks():
                warnings.warn(
                    "the codewords of this copy of a bottleneck are averages with those from before the first "
                    f"clustering, which have a weight of {1 - has_codewords.item():.0%} now: give the copy to "
                    "follow(optimizer, averaged=...), and it takes clustered codebooks over as they are",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return self.clock.quantizing

    def assign(
        self, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None, has_codewords: torch.Tensor
    ) -> tuple[torch.Tensor, bool]:
        """Find codes.

        Args:
            latents: (N, C, D), no gradient.
            codebook: (C, K, D).
            valid: bool (N,), False where there is padding; or None.
            has_codewords: as `quantizes` takes it.

        Returns:
            Indices int64 (N, C), -1 where there is no code; and whether it is known that all have one.
        """
        if not self.clock.quantizing and not self.quantizes(has_codewords):
            self._warn_of_no_codewords()
            return torch.full(latents.shape[:2], -1, dtype=torch.int64, device=latents.device), False
        indices = nearest_codes(latents, codebook)
        if seen_to_be_usable(latents, valid, waiting=False):
            return indices, True
        return indices.masked_fill_(~usable(latents, valid).unsqueeze(1), -1), False

    def learn(
        self, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None, sampling: bool
    ) -> tuple[torch.Tensor, bool]:
        """`assign`, and remember what the next update of the codebook needs.

        Args:
            sampling: show the vectors to the reservoir; off if the codebook is frozen.

        Raises:
            RuntimeError: this forward is activation checkpointing's second, made while gradients are computed.
        """
        # Private, but all that tells: torch's own checkpointing asks the same.
        if torch._C._current_graph_task_id() != -1:
            raise RuntimeError(
                "VQBottleneck can't be inside activation checkpointing in training: its second forward would count "
                "every vector twice; checkpoint the layers before and after it, and leave the bottleneck out"
            )
        # Counts, sums and norms of many vectors are more than half precision can hold.
        wide = torch.promote_types(latents.dtype, torch.float32)
        norms = latents.to(wide).norm(dim=2)
        # They are finite only if the vectors are, and far fewer numbers.
        whole = seen_to_be_usable(norms, valid, waiting=True)
        if whole:
            # As below, without copies of all vectors.
            vectors = latents
            if self.clock.quantizing:
                indices = codes = nearest_codes(vectors, codebook)
            else:
                indices = codes = torch.full(latents.shape[:2], -1, dtype=torch.int64, device=latents.device)
        else:
            # Row numbers, and not the mask: on a GPU each use of that would wait for the count of its rows.
            rows = usable(latents, valid).nonzero()[:, 0]
            indices = torch.full(latents.shape[:2], -1, dtype=torch.int64, device=latents.device)
            vectors, norms = latents[rows], norms[rows]
            if self.clock.quantizing:
                codes = nearest_codes(vectors, codebook)
                indices[rows] = codes
            else:
                codes = indices[: len(rows)]
        vectors = vectors.to(wide)
        self._accumulate(vectors, codes, sampling)
        if len(vectors):
            self.encoder_norm = norms.mean()
        self.clock.pending = True
        self._forwards += 1
        if self._forwards == _MANY_FORWARDS and self._speaks():
            warnings.warn(
                f"{_MANY_FORWARDS} training forwards and no step of the optimiser that this bottleneck follows: its "
                "codebook stays as it is. If there is a new optimiser, call follow(optimizer) with it",
                RuntimeWarning,
                stacklevel=2,
            )
        return indices, whole and self.clock.quantizing

    def _accumulate(self, vectors: torch.Tensor, indices: torch.Tensor, sampling: bool) -> None:
        """Count the vectors of all processes, (n, C, D), with their indices, (n, C), and show them to the reservoir."""
        group = effective_group(self.process_group)
        # Nothing is sent that isn't used, and all in one message.
        parts = self._counts_and_sums(vectors, indices) if self.clock.quantizing else []
        slots = None
        if sampling and self._clustering_ahead():
            slots, rows = self._draw(vectors.flatten(1), group)
            parts.append(rows)
        if group is not None and parts:
            parts = sum_together(parts, group)
        if slots is not None:
            self.reservoir.write(slots, parts.pop())
        if parts:
            counts = parts[0].long()
            self._counts = counts if self._counts is None else self._counts.to(counts.device) + counts
        if len(parts) > 1:
            sums = parts[1]
            self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums

    def _counts_and_sums(self, vectors: torch.Tensor, indices: torch.Tensor) -> list[torch.Tensor]:
        """How many vectors each codeword took, (C, K), and for EMA their sums, (C, K, D)."""
        total = self.num_codebooks * self.codebook_size
        first = torch.arange(self.num_codebooks, device=indices.device) * self.codebook_size
        codes = (indices + first).reshape(-1)
        counts = _counted(codes, total).view(self.num_codebooks, -1).to(vectors.dtype)
        if self.ema_decay is None:
            return [counts]
        sums = vectors.new_zeros(total, self.codeword_dim)
        rows = vectors.reshape(-1, self.codeword_dim)
        add_rows(sums, codes, rows)
        return [counts, sums.view(self.num_codebooks, self.codebook_size, self.codeword_dim)]

    def _clustering_ahead(self) -> bool:
        """Whether a clustering is still to come that the vectors of this update can enter."""
        if self.schedule is None:
            return False
        return self.clock.due or self.clock.updates + 2 <= self.schedule.last

    def _draw(self, rows: torch.Tensor, group: dist.ProcessGroup | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Decide which rows of all processes, in rank order, the reservoir takes.

        Returns:
            Their slots, and the rows, (accepted, C * D): zeros in place of those of other processes.
        """
        if group is None:
            slots, accepted = self.reservoir.draw(len(rows))
            return slots, rows[accepted.to(rows.device)]
        counts = row_counts(len(rows), group, rows.device)
        slots, accepted = self.reservoir.draw(sum(counts))
        local = (accepted - sum(counts[: dist.get_rank(group)])).to(rows.device)
        own = (local >= 0) & (local < len(rows))
        taken = rows.new_zeros(len(local), rows.shape[1])
        taken[own] = rows[local[own]]
        return slots, taken

    # --- Between updates ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def complete_update(
        self,
        codebook: torch.Tensor,
        has_codewords: torch.Tensor,
        ema_counts: torch.Tensor | None,
        ema_sums: torch.Tensor | None,
        free: bool,
    ) -> bool:
        """Do what is to be done between two updates, if there was a training forward since the last.

        Args:
            codebook: (C, K, D), or the part of it that FSDP has left here; changed in place.
            has_codewords: a scalar, 1 after a clustering.
            ema_counts: N of equation 4, (C, K), changed in place; None without EMA.
            ema_sums: m of equation 4, (C, K, D), changed in place; None without EMA.
            free: whether the codebook may change; off if it is frozen.

        Returns:
            Whether there is a new codebook.
        """
        if not self.clock.pending:
            return False
        self.clock.pending = False
        self._forwards = 0
        self.clock.updates += 1
        counts, sums = self._counts, self._sums
        self._counts = self._sums = None
        if sums is not None and free:
            device = codebook.device
            ema_update(codebook, ema_counts, ema_sums, counts.to(device), sums.to(device), self.ema_decay)
        if counts is not None and self.alarm.update(counts):
            self._warn_of_collapse(codebook)
        if not (free and self.schedule is not None):
            return False
        planned = self.clock.updates + 1 in self.schedule
        if not (planned or self.clock.due):
            return False
        if len(self.reservoir) < self.codebook_size:
            self._log(
                # Once: for the plan's entry, or for an entry for the first update, before which there are no vectors.
                logging.WARNING if planned or self.clock.updates == 1 else logging.DEBUG,
                f"no clustering for update {self.clock.updates + 1}: {len(self.reservoir)} vectors for "
                f"{self.codebook_size} codewords; trying again after every update",
            )
            self.clock.due = True
            return False
        self._cluster(codebook, ema_counts, ema_sums)
        has_codewords.fill_(1)
        return True

    def _cluster(self, codebook: torch.Tensor, ema_counts: torch.Tensor | None, ema_sums: torch.Tensor | None) -> None:
        started = time.perf_counter()
        group = effective_group(self.process_group)
        new, before, after, used = reestimate_together(
            group,
            self.reservoir.sample().to(codebook.device),
            whole(codebook, self._shape, group),
            self.seeding,
            # The first codewords come from no data: their numbers mean nothing.
            self.match and self.clock.quantizing,
            # Processes that don't cluster have no generator to keep in step: each clustering seeds its own.
            (self.seed, self.clusterings),
            self.balancing,
        )
        vectors = len(self.reservoir)
        overwrite(codebook, new, group)
        if ema_counts is not None:
            ema_counts.fill_(1)
            ema_sums.copy_(new)
        self.reservoir.reset()
        self.alarm.forget_counts()
        self.clock.due = False
        self.clock.quantizing = self._lineage.quantizing = True
        done = Reestimation(self.clock.updates + 1, vectors, before, after, used, time.perf_counter() - started)
        self.reestimations.append(done)
        self.clusterings += 1
        self._log(
            logging.INFO if self.verbose else logging.DEBUG,
            f"clustered {vectors} vectors for update {done.update} in {done.seconds:.1f} s: mean squared distance "
            f"{before:.4g} before, {after:.4g} now; {used} of {self.num_codebooks * self.codebook_size} codewords used",
        )

    @property
    def _shape(self) -> tuple[int, int, int]:
        """Of the codebook where it is in one piece."""
        return self.num_codebooks, self.codebook_size, self.codeword_dim

    def _warn_of_collapse(self, codebook: torch.Tensor) -> None:
        codebook = whole(codebook, self._shape, effective_group(self.process_group))
        if not self._speaks():
            return
        ratio = "an unknown number of"
        if self.encoder_norm is not None and self.encoder_norm > 0:
            ratio = f"{codebook.norm(dim=2).mean().item() / self.encoder_norm.item():.2g}"
        warnings.warn(
            f"the codebook has collapsed: its perplexity, {self.alarm.perplexity:.1f}, has been under {SHARE:.0%} of "
            f"its {self.codebook_size} codewords for {UPDATES} updates. The mean norm of the codewords is {ratio} "
            f"times that of the encoder's outputs; much above 1, few codewords win them all. {self.advice}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _warn_of_no_codewords(self) -> None:
        """Once, where an evaluation without codes isn't what the schedule has planned for a training under way."""
        updates, start = self.clock.updates, self.schedule.start
        trained = updates > 0 and (not self.told or updates + 1 >= start)
        left_behind = not self.told and self._lineage.quantizing
        if self._warned_of_no_codewords or not (trained or left_behind) or not self._speaks():
            return
        self._warned_of_no_codewords = True
        warnings.warn(
            f"all indices are -1: this bottleneck has no codewords yet. It has done {updates} updates, and its first "
            f"clustering is planned for update {start}. A copy hears of the clusterings of another bottleneck by "
            "follow(optimizer, averaged=...), or if buffers are copied with the parameters",
            RuntimeWarning,
            stacklevel=2,
        )

    def _log(self, level: int, message: str) -> None:
        if not self._speaks():
            return
        if self.verbose and level >= logging.INFO and not logger.hasHandlers():
            # Where nobody has set logging up, Python drops everything below a warning.
            print(message, file=sys.stderr, flush=True)
        else:
            logger.log(level, message)

    def _speaks(self) -> bool:
        """Whether this process is the one that reports."""
        group = effective_group(self.process_group)
        return group is None or dist.get_rank(group) == 0

    # --- State --------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict, dict[str, torch.Tensor]]:
        """Plain values, and tensors, for `load`: all that decides how training goes on."""
        alarm, tensors = self.alarm.state()
        if self._counts is not None:
            tensors["counts"] = self._counts
        if self._sums is not None:
            tensors["sums"] = self._sums
        if self.reservoir is not None:
            tensors |= {f"reservoir.{name}": tensor for name, tensor in self.reservoir.state_dict().items()}
        tensors["reestimations"] = log_to_tensor(self.reestimations, self._planned)
        values = {"clock": self.clock.state(), "alarm": alarm, "clusterings": self.clusterings}
        return values, tensors

    @property
    def _planned(self) -> int:
        return 0 if self.schedule is None else len(self.schedule.updates())

    @property
    def state_length(self) -> int:
        """Bytes that hold any `state` of this learner: its arguments alone determine them."""
        counts = (self.num_codebooks, self.codebook_size)
        shapes = dict.fromkeys(("counts", "alarm_counts", "alarm_last_counts"), (torch.int64, counts))
        shapes["reestimations"] = (torch.float64, log_rows(self._planned))
        if self.ema_decay is not None:
            shapes["sums"] = (torch.float64, (*counts, self.codeword_dim))
        if self.reservoir is not None:
            generator = len(self.reservoir.generator.get_state())
            shapes["reservoir.vectors"] = (torch.float32, (self.reservoir.capacity, self.reservoir.dim))
            shapes["reservoir.count"] = (torch.int64, ())
            shapes["reservoir.generator"] = (torch.uint8, (generator,))
        return largest_length(shapes)

    def load(self, values: dict, tensors: dict[str, torch.Tensor]) -> None:
        """Continue from what `state` gave.

        Raises:
            RuntimeError: it belongs to a codebook of another size, or to another reservoir.
        """
        for name in ("counts", "alarm_counts", "alarm_last_counts"):
            if name in tensors and tensors[name].shape != self._shape[:2]:
                raise RuntimeError(
                    f"the extra state counts the codes of {tuple(tensors[name].shape)} codebooks and codewords; "
                    f"this bottleneck has {self._shape[:2]}"
                )
        reservoir = {
            name.removeprefix("reservoir."): tensor for name, tensor in tensors.items() if name.startswith("reservoir.")
        }
        if self.reservoir is not None and reservoir:
            try:
                self.reservoir.load_state_dict(reservoir)
            except ValueError as error:
                raise RuntimeError(f"the extra state doesn't fit: {error}") from None
        elif self.reservoir is None and not values["clock"]["quantizing"]:
            raise RuntimeError(
                "the extra state is from before a first clustering, and this bottleneck has no ReestimationSchedule: "
                "give it the schedule that it was trained with"
            )
        self.clock = Clock(**values["clock"])
        self._lineage.quantizing |= self.clock.quantizing
        if "reestimations" in values:
            # Format 1.
            self.reestimations = [Reestimation(**done) for done in values["reestimations"]]
        else:
            self.reestimations = log_from_tensor(tensors["reestimations"])
        self.clusterings = values.get("clusterings", len(self.reestimations))
        self._counts = tensors.get("counts")
        self._sums = tensors.get("sums")
        self.alarm.load(values["alarm"], tensors)


def _counted(codes: torch.Tensor, total: int) -> torch.Tensor:
    """How often each of 0..total-1 is among the codes (n,), int64 (total,)."""
    if codes.device.type == "cpu":
        return torch.bincount(codes, minlength=total)
    # bincount waits for the largest code, to know how long its answer is. Integers add up to the same in any order.
    return codes.new_zeros(total).scatter_add_(0, codes, torch.ones_like(codes))
