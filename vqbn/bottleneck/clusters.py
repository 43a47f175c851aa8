"""Sums and errors of the vectors of clusters, in float64."""

import torch

from vqbn.bottleneck.row_sums import add_rows

# Temporary copies are made of so many rows at a time: on a CPU they should stay in a core's cache.
_CPU_ROWS, _GPU_ROWS = 1 << 12, 1 << 15


def squared_errors(
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


def cluster_sums(
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


def _rows_at_a_time(x: torch.Tensor) -> int:
    return _GPU_ROWS if x.device.type == "cuda" else _CPU_ROWS
