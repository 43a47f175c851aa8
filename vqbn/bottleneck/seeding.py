"""First centroids for k-means: random rows, k-means++ and k-means||, of centred float32 vectors."""

import torch

from vqbn.bottleneck.clusters import cluster_sums, squared_errors
from vqbn.bottleneck.lookup import nearest_codes

_ROUNDS = 5
_OVERSAMPLING, _FEWEST = 0.5, 64
_TRIALS, _BATCH = 5, 16
# Of a batch of centroids those are left out that an earlier one comes so near to, in parts of their error before it.
_NEAR = 0.5


def random_rows(x: torch.Tensor, k: int, weights: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
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


def plus_plus(
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


def parallel_plus_plus(
    x: torch.Tensor, k: int, weights: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """K-means|| (Bahmani et al. 2012): each round takes about k vectors at once, in proportion to their errors.

    A weighted k-means++ then picks k of these candidates, each weighted by the vectors nearest to it.
    """
    masses = torch.ones(len(x), dtype=torch.float64, device=x.device) if weights is None else weights
    candidates = _draw(masses.cumsum(0), torch.rand(1, dtype=torch.float64, generator=generator))
    nearest = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    errors = squared_errors(x, x[candidates], nearest, None)
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
        closer = squared_errors(x, x[new], found, None)
        nearest = torch.where(closer < errors, found + len(candidates), nearest)
        errors = torch.minimum(closer, errors)
        candidates = torch.cat([candidates, new])
    if len(candidates) < k:
        candidates = _fill(candidates, k, len(x), generator)
        nearest = nearest_codes(x, x[candidates])
    _, masses = cluster_sums(x[:, :0], nearest, len(candidates), weights)
    return plus_plus(x[candidates], k, masses, generator, _TRIALS, _BATCH)


def _draw(cumulative: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Indices drawn in proportion to what `cumulative` (N,) sums up, one for each of `uniform` in [0, 1)."""
    # Where rounding lifts the product to the total, the last index would be one too far.
    uniform = uniform.to(cumulative.device)
    return torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp(max=len(cumulative) - 1)


def _fill(chosen: torch.Tensor, k: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Row numbers `chosen` and as many of the other 0..count-1, drawn at random, as make k."""
    left = torch.ones(count, dtype=torch.bool, device=chosen.device)
    left[chosen] = False
    left = left.nonzero()[:, 0]
    order = torch.randperm(len(left), generator=generator).to(chosen.device)
    return torch.cat([chosen, left[order[: k - len(chosen)]]])
