"""Sums of rows by index, the same each time."""

import torch


def add_rows(sums: torch.Tensor, indices: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Add each of `rows` (n, D) to the row of `sums` (K, D) that `indices` (n,) names, in place; returns `sums`."""
    if sums.device.type == "cpu":
        return sums.index_add_(0, indices, rows)
    # index_add_ adds in any order on a GPU; this sorts first, so that the result is always the same.
    return sums.index_put_((indices,), rows, accumulate=True)
