"""The codebook as an exponential moving average (the paper's equation 4)."""

import torch

# Below it the quotient of sum and count is not a number worth having: the codeword stays.
SMALLEST_COUNT = 1e-6
# Far below it both are forgotten: numbers that small are slow, and end as zeros anyway.
_NOTHING = 1e-30


@torch.no_grad()
def ema_update(
    codebook: torch.Tensor,
    counts: torch.Tensor,
    sums: torch.Tensor,
    new_counts: torch.Tensor,
    new_sums: torch.Tensor,
    decay: float,
) -> None:
    """Do one update of equation 4, in place.

    N ← N·γ + n·(1 - γ), m ← m·γ + Σe·(1 - γ), and w ← m / N where N > 1e-6.

    Args:
        codebook: codewords w, (..., K, D).
        counts: usage counts N, (..., K).
        sums: mean codes m, (..., K, D).
        new_counts: n, how many vectors of this update each codeword took, (..., K).
        new_sums: the sums of these vectors, (..., K, D).
        decay: γ.
    """
    kept = (counts > _NOTHING).to(counts.dtype).mul_(decay)
    counts.mul_(kept).add_(new_counts.to(counts.dtype), alpha=1 - decay)
    sums.mul_(kept.unsqueeze(-1)).add_(new_sums.to(sums.dtype), alpha=1 - decay)
    unused = (counts > SMALLEST_COUNT).logical_not_().unsqueeze(-1)
    means = sums / counts.unsqueeze(-1).masked_fill(unused, 1.0)
    codebook.copy_(torch.where(unused, codebook, means.to(codebook.dtype)))
