"""Batch normalisation that padding doesn't enter."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from vqbn.bottleneck.distributed import sum_over_processes
from vqbn.bottleneck.padding import usable


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the real vectors of a batch, those of all processes together.

    Equal to `torch.nn.BatchNorm1d`, and to `SyncBatchNorm`, where nothing is padded. Vectors with non-finite values
    enter no statistic. A batch without any vector leaves the running statistics as they are.

    Args:
        dim: dimension of the vectors.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics.
    """

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def extra_repr(self) -> str:
        return f"{self.dim}, eps={self.eps}, momentum={self.momentum}"

    def forward(
        self,
        x: torch.Tensor,
        valid: torch.Tensor | None = None,
        learning: bool = True,
        group: dist.ProcessGroup | None = None,
        whole: bool = False,
    ) -> torch.Tensor:
        """Normalise vectors.

        Args:
            x: (N, dim).
            valid: bool (N,), False where there is padding; what is computed there means nothing.
            learning: use, and remember, the statistics of this batch; else use the running ones.
            group: processes whose vectors are one batch; None if there is only this one.
            whole: all vectors are known to be real and finite.

        Returns:
            (N, dim).
        """
        if not learning:
            return (x - self.running_mean) * (self.running_var + self.eps).rsqrt() * self.weight + self.bias
        if whole and group is None and x.device.type == "cuda" and len(x) > 1:
            # One kernel in the place of thirty, and as exact. On a CPU it would not be: torch adds up in float32 there.
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            )
        outside = None if whole else ~usable(x.detach(), valid).unsqueeze(1)
        # In float64: rounded while it is added up, the mean of features far from zero would be off by a part of their
        # spread.
        sums = _without(x, outside).sum(0, dtype=torch.float64)
        number = sums.new_tensor([len(x)]) if outside is None else (~outside).sum().unsqueeze(0)
        totals = sum_over_processes(torch.cat([sums, number]), group)
        count = totals[-1].detach().to(x.dtype)
        mean = (totals[:-1] / totals[-1].detach().clamp(min=1)).to(x.dtype)
        # From the deviations, not from the squares: a large mean would drown the variance.
        centred = x - mean
        deviations = sum_over_processes(_without(centred, outside).square().sum(0), group)
        variance = deviations / count.clamp(min=1)
        with torch.no_grad():
            weight = self.momentum * (count > 0)
            self.running_mean.lerp_(mean, weight)
            self.running_var.lerp_(deviations / (count - 1).clamp(min=1), weight)
        return centred * (variance + self.eps).rsqrt() * self.weight + self.bias


def _without(x: torch.Tensor, outside: torch.Tensor | None) -> torch.Tensor:
    """Zeros in the place of the rows of x (N, D) that bool `outside` (N, 1) names."""
    return x if outside is None else x.masked_fill(outside, 0.0)
