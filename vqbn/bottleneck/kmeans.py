"""K-means clustering: seeding and Lloyd's algorithm."""

import math
import operator
import warnings

import torch

from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.row_sums import add_rows

SEEDINGS = ("k-means||", "k-means++", "random")
_ROUNDS = 5
_OVERSAMPLING, _FEWEST = 0.5, 64
_TRIALS, _BATCH = 5, 16
# Of a batch of centroids those are left out that an earlier one comes so near to, in parts of their error before it.
_NEAR = 0.5
# Temporary copies in float64 are made of so many rows at a time: on a CPU they should stay in a core's cache.
_CPU_ROWS, _GPU_ROWS = 1 << 12, 1 << 15


def kmeans(
    x: torch.Tensor,
    k: int,
    weights: torch.Tensor | None = None,
    init: str | torch.Tensor = "k-means||",
    iterations: int = 20,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Cluster vectors with Lloyd's algorithm.

    It ends early when no vector changes its cluster. A cluster that loses all its vectors is moved to the vector
    with the largest error. The result depends on the generator, not on the number of threads; `x` isn't changed.

    Args:
        x: vectors, float (N, D), all finite.
        k: the number of clusters, at most N.
        weights: float (N,), not negative: a weight of 2 counts as two equal vectors, 0 as none. 1 by default.
        init: "k-means||" (Bahmani et al. 2012: five rounds of oversampling, then a weighted k-means++ over what they
            chose), "k-means++" (greedy, with 2 + ln k trials per centroid, as scikit-learn does), "random" (rows
            drawn without replacement), or the first centroids themselves, (k, D).
        iterations: at most so many; 0 gives the seeding.
        generator: a CPU generator; one of its own, seeded with 0, by default.

    Returns:
        Centroids, (k, D), on the device of `x`, float64 if `x` is, else float32. Two may be equal if fewer than k
        vectors differ; a warning says so.

    Raises:
        TypeError: `x` isn't of a floating-point type, or `k` no integer.
        ValueError: a shape doesn't fit, a value isn't finite, a weight is negative, `init` is unknown, or fewer
            than k vectors have a positive weight.
    """
    x, weights = _checked(x, weights)
    k, iterations = operator.index(k), operator.index(iterations)
    if k < 1 or iterations < 0:
        raise ValueError(f"k must be positive and iterations not negative, not {k} and {iterations}")
    if isinstance(init, str) and init not in SEEDINGS:
        raise ValueError(f"init must be one of {', '.join(SEEDINGS)} or a tensor of centroids, not {init!r}")
    if isinstance(init, torch.Tensor) and tuple(init.shape) != (k, x.shape[1]):
        raise ValueError(f"init must have the shape {(k, x.shape[1])}, not {tuple(init.shape)}")
    if isinstance(init, torch.Tensor) and not bool(init.isfinite().all()):
        raise ValueError("init has non-finite values")
    if weights is not None and not bool((weights > 0).all()):
        x, weights = x[weights > 0], weights[weights > 0]
    if len(x) < k:
        raise ValueError(f"{k} clusters need at least as many vectors, with positive weights; there are {len(x)}")
    if generator is None:
        generator = torch.Generator().manual_seed(0)

    offset = x.double().mean(0)
    vectors = (x - offset).float()
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        if isinstance(init, torch.Tensor):
            centroids = (init.to(x.device) - offset).float()
        elif init == "random":
            centroids = _random_rows(vectors, k, weights, generator)
        elif init == "k-means++":
            centroids = _plus_plus(vectors, k, weights, generator, 2 + int(math.log(k)))
        else:
            centroids = _parallel_plus_plus(vectors, k, weights, generator)
        centroids = _lloyd(vectors, centroids, weights, iterations)
    if len(centroids.unique(dim=0)) < k:
        warnings.warn(f"fewer than {k} of the {len(x)} vectors differ: some centroids are equal", stacklevel=2)
    return (centroids + offset).to(torch.float64 if x.dtype == torch.float64 else torch.float32)


def kmeans_inertia(
    x: torch.Tensor, centroids: torch.Tensor, weights: torch.Tensor | None = None
) -> tuple[float, torch.Tensor]:
    """How well centroids stand for vectors.

    Args:
        x: vectors, float (N, D), all finite.
        centroids: (k, D).
        weights: float (N,), not negative. 1 by default.

    Returns:
        inertia: the weighted sum over vectors of the squared distance to the nearest centroid.
        counts: float64 (k,), the weight of the vectors nearest to each centroid.
    """
    x, weights = _checked(x, weights)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        indices = nearest_codes(x, centroids)
        _, counts = _cluster_sums(x[:, :0], indices, len(centroids), weights)
        return _squared_errors(x, centroids, indices, weights).sum().item(), counts


def _checked(x: torch.Tensor, weights: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    if not x.is_floating_point():
        raise TypeError(f"vectors must be a floating-point tensor, not {x.dtype}")
    if x.dim() != 2:
        raise ValueError(f"vectors must have the shape (N, D), not {tuple(x.shape)}")
    if not bool(x.isfinite().all()):
        raise ValueError("vectors have non-finite values")
    if weights is None:
        return x.detach(), None
    if tuple(weights.shape) != (len(x),):
        raise ValueError(f"weights must have the shape ({len(x)},), one per vector, not {tuple(weights.shape)}")
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ValueError("weights must be finite and not negative")
    return x.detach(), weights.detach().to(x.device, torch.float64)


def _rows_at_a_time(x: torch.Tensor) -> int:
    return _GPU_ROWS if x.device.type == "cuda" else _CPU_ROWS


def _squared_errors(
    x: torch.Tensor, centroids: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """Weighted squared distance of every vector to the centroid that it was given, float64 (N,)."""
    size = _rows_at_a_time(x)
    errors = torch.cat(
        [
            (rows.to(centroids.dtype) - centroids[given]).double().square_().sum(1)
            for rows, given in zip(x.split(size), indices.split(size), strict=True)
        ]
    )
    return errors if weights is None else errors * weights


def _cluster_sums(
    x: torch.Tensor, indices: torch.Tensor, k: int, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sum, float64 (k, D), and weight, float64 (k,), of each cluster's vectors, in the vectors' order."""
    if weights is None:
        counts = torch.bincount(indices, minlength=k).double()
    else:
        counts = add_rows(torch.zeros(k, 1, dtype=torch.float64, device=x.device), indices, weights[:, None])[:, 0]
    sums = torch.zeros(k, x.shape[1], dtype=torch.float64, device=x.device)
    size = _rows_at_a_time(x)
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        values = x[rows].double()
        add_rows(sums, indices[rows], values if weights is None else values * weights[rows, None])
    return sums, counts


def _lloyd(x: torch.Tensor, centroids: torch.Tensor, weights: torch.Tensor | None, iterations: int) -> torch.Tensor:
    """Lloyd's algorithm on centred float32 vectors; weights are positive."""
    indices, moved = None, None
    for _ in range(iterations):
        if indices is None:
            indices = nearest_codes(x, centroids)
        else:
            found = _nearest_again(x, centroids, indices, moved)
            if torch.equal(found, indices):
                break
            indices = found
        sums, counts = _cluster_sums(x, indices, len(centroids), weights)
        before, centroids = centroids, _means(sums, counts, centroids)
        if not bool((counts > 0).all()):
            _relocate(x, centroids, indices, weights, sums, counts)
            centroids = _means(sums, counts, centroids)
        moved = (centroids != before).any(1)
    return centroids


def _nearest_again(
    x: torch.Tensor, centroids: torch.Tensor, indices: torch.Tensor, moved: torch.Tensor
) -> torch.Tensor:
    """The nearest centroid of each vector, after those that the mask `moved` (k,) tells have moved.

    `indices` (N,) are the nearest as they were before. A vector whose own centroid stayed where it was can only change
    to one that moved; after a few iterations that is a small part of all the distances.
    """
    some = moved.nonzero()[:, 0]
    if 2 * len(some) > len(centroids):
        return nearest_codes(x, centroids)
    if len(some) == 0:
        return indices
    lost = moved[indices]
    kept, lost = (~lost).nonzero()[:, 0], lost.nonzero()[:, 0]
    found = indices.clone()
    found[lost] = nearest_codes(x[lost], centroids)
    vectors, own = x[kept], indices[kept]
    rivals = some[nearest_codes(vectors, centroids[some])]
    difference = _squared_errors(vectors, centroids, rivals, None) - _squared_errors(vectors, centroids, own, None)
    closer = (difference < 0) | ((difference == 0) & (rivals < own))
    found[kept] = torch.where(closer, rivals, own)
    return found


def _means(sums: torch.Tensor, counts: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Centroids, float32 (k, D); an empty cluster keeps the one that it had."""
    return torch.where(counts[:, None] > 0, sums / counts[:, None], before).float()


def _relocate(
    x: torch.Tensor,
    centroids: torch.Tensor,
    indices: torch.Tensor,
    weights: torch.Tensor | None,
    sums: torch.Tensor,
    counts: torch.Tensor,
) -> None:
    """Give each empty cluster the vector with the largest error, in place: `sums` and `counts` change.

    The vector leaves its own cluster. Where too few vectors have an error, the rest of the clusters stay empty.
    """
    # From the new means: by the old ones, a vector that has just become a centroid may seem far from it.
    errors = _squared_errors(x, centroids, indices, None)
    empty = (counts == 0).nonzero()[:, 0]
    largest, farthest = errors.topk(min(len(empty), len(errors)))
    farthest = farthest[largest > 0]
    empty = empty[: len(farthest)]
    moved = torch.ones_like(errors[farthest]) if weights is None else weights[farthest]
    vectors = x[farthest].double() * moved[:, None]
    add_rows(sums, indices[farthest], -vectors)
    add_rows(counts[:, None], indices[farthest], -moved[:, None])
    sums[empty] = vectors
    counts[empty] = moved


def _draw(cumulative: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Indices drawn in proportion to what `cumulative` (N,) sums up, one for each of `uniform` in [0, 1)."""
    # Where rounding lifts the product to the total, the last index would be one too far.
    uniform = uniform.to(cumulative.device)
    return torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp(max=len(cumulative) - 1)


def _random_rows(x: torch.Tensor, k: int, weights: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    """k rows without replacement, each drawn in proportion to its weight among those left."""
    arrivals = torch.empty(len(x), dtype=torch.float64).exponential_(generator=generator).to(x.device)
    if weights is not None:
        arrivals = arrivals / weights
    return x[arrivals.topk(k, largest=False).indices]


class _Distances:
    """Squared distances of centred float32 vectors to some of themselves, as one matrix product.

    |a|² + |b|² - 2 a·b is the product of (|a|², 1, -2 a) with (1, |b|², b). It may be a rounding error below 0.
    """

    def __init__(self, x: torch.Tensor):
        norms = x.square().sum(1, keepdim=True)
        ones = torch.ones_like(norms)
        self.rows = torch.cat([norms, ones, -2 * x], dim=1)
        self.columns = torch.cat([ones, norms, x], dim=1).t().contiguous()

    def __call__(self, chosen: torch.Tensor) -> torch.Tensor:
        """(m, N) for row numbers (m,)."""
        return self.rows[chosen] @ self.columns


def _plus_plus(
    x: torch.Tensor, k: int, weights: torch.Tensor | None, generator: torch.Generator, trials: int, batch: int = 1
) -> torch.Tensor:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007).

    For each centroid `trials` vectors are drawn in proportion to their squared errors; the one that lowers the sum of
    errors most is taken.

    Args:
        x: centred float32 vectors, (N, D).
        k: the number of centroids, at most N.
        weights: float64 (N,), or None for 1.
        generator: a CPU generator.
        trials: how many vectors each centroid is chosen from.
        batch: up to so many centroids are drawn, and chosen, by the errors as they were before the first of them: some
            large operations instead of many small ones.
    """
    distances = _Distances(x)
    masses = torch.ones(len(x), dtype=torch.float64, device=x.device) if weights is None else weights
    chosen = _draw(masses.cumsum(0), torch.rand(1, dtype=torch.float64, generator=generator))
    errors = distances(chosen)[0].clamp_(min=0)
    errors[chosen] = 0
    importance = masses.float()
    found = chosen
    while len(found) < k:
        cumulative = (errors * masses).cumsum(0)
        if not bool(cumulative[-1] > 0):
            return x[_fill(found, k, len(x), generator)]
        steps = min(batch, 1 + len(found) // 8, k - len(found))
        candidates = _draw(cumulative, torch.rand(steps * trials, dtype=torch.float64, generator=generator))
        left = distances(candidates)
        torch.minimum(left, errors, out=left)
        best = (left @ importance).view(steps, trials).argmin(1)
        best += torch.arange(0, steps * trials, trials, device=x.device)
        picked, left = candidates[best], left[best]
        if steps > 1:
            # One for which an earlier one does is not taken.
            near = left[:, picked] < _NEAR * errors[picked]
            taken = near.triu(1).any(0).logical_not_().nonzero()[:, 0]
            picked, left = picked[taken], left[taken]
        errors = left.amin(0).clamp_(min=0)
        errors[picked] = 0
        found = torch.cat([found, picked])
    return x[found]


def _fill(chosen: torch.Tensor, k: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Row numbers `chosen` and as many of the other 0..count-1, drawn at random, as make k."""
    left = torch.ones(count, dtype=torch.bool, device=chosen.device)
    left[chosen] = False
    left = left.nonzero()[:, 0]
    order = torch.randperm(len(left), generator=generator).to(chosen.device)
    return torch.cat([chosen, left[order[: k - len(chosen)]]])


def _parallel_plus_plus(
    x: torch.Tensor, k: int, weights: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """K-means|| (Bahmani et al. 2012): each round takes about k vectors at once, in proportion to their errors.

    A weighted k-means++ then picks k of these candidates, each weighted by the vectors nearest to it.
    """
    masses = torch.ones(len(x), dtype=torch.float64, device=x.device) if weights is None else weights
    candidates = _draw(masses.cumsum(0), torch.rand(1, dtype=torch.float64, generator=generator))
    nearest = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    errors = _squared_errors(x, x[candidates], nearest, None)
    for _ in range(_ROUNDS):
        potential = masses * errors
        total = potential.sum()
        if not bool(total > 0):
            break
        uniform = torch.rand(len(x), dtype=torch.float64, generator=generator).to(x.device)
        new = (uniform * total < max(k * _OVERSAMPLING, _FEWEST) * potential).nonzero()[:, 0]
        if len(new) == 0:
            continue
        found = nearest_codes(x, x[new])
        closer = _squared_errors(x, x[new], found, None)
        nearest = torch.where(closer < errors, found + len(candidates), nearest)
        errors = torch.minimum(closer, errors)
        candidates = torch.cat([candidates, new])
    if len(candidates) < k:
        candidates = _fill(candidates, k, len(x), generator)
        nearest = nearest_codes(x, x[candidates])
    _, masses = _cluster_sums(x[:, :0], nearest, len(candidates), weights)
    return _plus_plus(x[candidates], k, masses, generator, _TRIALS, _BATCH)
