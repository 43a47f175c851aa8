"""A new codebook from a sample of vectors (section III-B)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist

from vqbn.bottleneck.balance import balance
from vqbn.bottleneck.distributed import broadcast_from_first
from vqbn.bottleneck.kmeans import kmeans, kmeans_inertia
from vqbn.bottleneck.matching import match_codes


@dataclass(frozen=True)
class Reestimation:
    """One clustering, as it happened.

    Attributes:
        update: the first update with the new codebook, counted from 1.
        vectors: how many vectors were clustered.
        inertia_before: mean squared distance of these vectors to the nearest codeword of the old codebook.
        inertia_after: the same with the new codebook.
        used: how many codewords are the nearest of some vector, over all codebooks.
        seconds: how long it took; None in what was restored from a checkpoint.
    """

    update: int
    vectors: int
    inertia_before: float
    inertia_after: float
    used: int
    seconds: float | None = None


# Numbers of a clustering in a saved log, all but the time: equal runs have equal states.
_SAVED = ("update", "vectors", "inertia_before", "inertia_after", "used")
# The latest so many are saved: a log of a clustering per update would outgrow all else.
_KEPT = 1000


def log_rows(planned: int) -> tuple[int, int]:
    """The shape of the largest log that `log_to_tensor` makes where `planned` clusterings are planned."""
    return min(planned, _KEPT), len(_SAVED)


def log_to_tensor(log: list[Reestimation], planned: int) -> torch.Tensor:
    """The latest clusterings, as many as `log_rows` says, float64 (n, 5), without their times."""
    rows, columns = log_rows(planned)
    latest = [[getattr(done, name) for name in _SAVED] for done in log[max(0, len(log) - rows) :]]
    return torch.tensor(latest, dtype=torch.float64).view(-1, columns)


def log_from_tensor(rows: torch.Tensor) -> list[Reestimation]:
    """What `log_to_tensor` was given, if it was not too long."""
    return [
        Reestimation(int(update), int(vectors), before, after, int(used))
        for update, vectors, before, after, used in rows.tolist()
    ]


def reestimate(
    vectors: torch.Tensor,
    codebooks: torch.Tensor,
    seeding: str,
    match: bool,
    seed: tuple[int, ...],
    balancing: int = 0,
) -> tuple[torch.Tensor, float, float, int]:
    """Cluster vectors into codebooks.

    Args:
        vectors: float (N, C * D), finite, N >= K.
        codebooks: the old ones, (C, K, D).
        seeding: as `kmeans` takes it.
        match: give new codewords the numbers of the old ones that they are nearest to.
        seed: non-negative integers; the result depends on them alone.
        balancing: rounds of `balance` after k-means.

    Returns:
        The new codebooks, like the old; the mean squared distance of the vectors to the old ones and to the new;
        how many codewords are used.
    """
    new = torch.empty_like(codebooks)
    before = after = 0.0
    used = 0
    for c, (part, old) in enumerate(zip(vectors.split(codebooks.shape[2], dim=1), codebooks, strict=True)):
        (entropy,) = np.random.SeedSequence([*seed, c]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(entropy) >> 1)
        centroids = kmeans(part, len(old), init=seeding, generator=generator)
        centroids = balance(part, centroids, balancing).to(old.dtype)
        new[c] = centroids[match_codes(centroids, old)] if match else centroids
        before += kmeans_inertia(part, old)[0]
        inertia, counts = kmeans_inertia(part, new[c])
        after += inertia
        used += int((counts > 0).sum())
    return new, before / len(vectors), after / len(vectors), used


def reestimate_together(
    group: dist.ProcessGroup | None,
    vectors: torch.Tensor,
    codebooks: torch.Tensor,
    seeding: str,
    match: bool,
    seed: tuple[int, ...],
    balancing: int = 0,
) -> tuple[torch.Tensor, float, float, int]:
    """`reestimate` on the first process of `group`; the others get what it found.

    Raises:
        RuntimeError: on the others, if it failed on the first.
    """
    if group is None:
        return reestimate(vectors, codebooks, seeding, match, seed, balancing)
    new = torch.empty_like(codebooks)
    # Whether it went well, and the three figures.
    report = torch.zeros(4, dtype=torch.float64, device=codebooks.device)
    error = None
    if dist.get_rank(group) == 0:
        try:
            new, *figures = reestimate(vectors, codebooks, seeding, match, seed, balancing)
            report.copy_(torch.tensor([1, *figures]))
        except Exception as raised:
            # The others wait for this process: they have to hear of it.
            error = raised
    broadcast_from_first(report, group)
    if error is not None:
        raise error
    went_well, before, after, used = report.tolist()
    if not went_well:
        raise RuntimeError("the clustering failed on the first process; the error there says why")
    broadcast_from_first(new, group)
    return new, before, after, int(used)
