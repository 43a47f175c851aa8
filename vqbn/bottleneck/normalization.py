"""Batch normalisation that padding doesn't enter."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from vqbn.bottleneck.distributed import sum_over_processes
from vqbn.bottleneck.padding import usable
from vqbn.bottleneck.wide_buffers import WideBuffers, wide_type


class MaskedBatchNorm(WideBuffers):
    """Batch normalisation over the real vectors of a batch, those of all processes together.

    Equal to `torch.nn.BatchNorm1d`, and to `SyncBatchNorm`, where nothing is padded. Vectors with non-finite values or
    values beyond 1e15 enter no statistic. A batch without any vector leaves the running statistics as they are. These
    stay in float32, and what is normalised is computed in it, in a module of half precision too.

    Args:
        dim: dimension of the vectors.
        eps: added to the variance.
        momentum: weight of a new batch in the running statistics.
    """

    wide_buffers = ("running_mean", "running_var")

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.dim = dim
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        dtype = wide_type(torch.get_default_dtype())
        self.register_buffer("running_mean", torch.zeros(dim, dtype=dtype))
        self.register_buffer("running_var", torch.ones(dim, dtype=dtype))

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
        if learning and whole and group is None and x.device.type == "cuda" and len(x) > 1:
            # One kernel in the place of thirty, and as exact. On a CPU it would not be: torch adds up in float32 there.
            wide, weight, bias = (tensor.to(self.running_mean.dtype) for tensor in (x, self.weight, self.bias))
            normalized = F.batch_norm(
                wide, self.running_mean, self.running_var, weight, bias, True, self.momentum, self.eps
            )
            return normalized.to(torch.promote_types(x.dtype, self.weight.dtype))
        return self.with_statistics(x, valid, learning, group, whole)[0]

    def with_statistics(
        self,
        x: torch.Tensor,
        valid: torch.Tensor | None = None,
        learning: bool = True,
        group: dist.ProcessGroup | None = None,
        whole: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalise vectors, and say by what.

        Args:
            x, valid, learning, group, whole: as `forward` takes them.

        Returns:
            The vectors, (N, dim), and the mean and the variance, each (dim,), that `invert` takes; gradients flow
            through those of a batch.
        """
        dtype = torch.promote_types(x.dtype, self.weight.dtype)
        x = x.to(wide_type(x.dtype))
        if not learning:
            mean, variance = self.running_mean, self.running_var
            normalized = (x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
            return normalized.to(dtype), mean, variance
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
        normalized = centred * (variance + self.eps).rsqrt() * self.weight + self.bias
        return normalized.to(dtype), mean, variance

    def invert(self, y: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Undo the normalisation by this mean and variance, each (dim,), of vectors (..., dim)."""
        return ((y - self.bias) / self.weight * (variance + self.eps).sqrt() + mean).to(y.dtype)


def _without(x: torch.Tensor, outside: torch.Tensor | None) -> torch.Tensor:
    """Zeros in the place of the rows of x (N, D) that bool `outside` (N, 1) names."""
    return x if outside is None else x.masked_fill(outside, 0.0)
