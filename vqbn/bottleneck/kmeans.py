"""K-means clustering with Lloyd's algorithm."""

import math
import operator
import warnings

import torch

from vqbn.bottleneck.clusters import cluster_sums, squared_errors
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.row_sums import add_rows
from vqbn.bottleneck.seeding import parallel_plus_plus, plus_plus, random_rows

SEEDINGS = ("k-means||", "k-means++", "random")


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
            centroids = random_rows(vectors, k, weights, generator)
        elif init == "k-means++":
            centroids = plus_plus(vectors, k, weights, generator, 2 + int(math.log(k)))
        else:
            centroids = parallel_plus_plus(vectors, k, weights, generator)
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
        _, counts = cluster_sums(x[:, :0], indices, len(centroids), weights)
        return squared_errors(x, centroids, indices, weights).sum().item(), counts


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
        sums, counts = cluster_sums(x, indices, len(centroids), weights)
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
    difference = squared_errors(vectors, centroids, rivals, None) - squared_errors(vectors, centroids, own, None)
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
    errors = squared_errors(x, centroids, indices, None)
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
