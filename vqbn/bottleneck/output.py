"""What every bottleneck returns."""

from typing import NamedTuple

import torch


class BottleneckOutput(NamedTuple):
    """The output of `VQBottleneck` and `LinearBottleneck`.

    Attributes:
        quantized: (..., code_dim): the codewords, and zeros where the input is padding.
        indices: int64 (..., num_codebooks): the codewords' indices, or -1 where there is none: padding, a vector with
            non-finite values or values beyond 1e15, everything before the first clustering. None without a codebook.
        loss: a scalar to add to the task's loss.
    """

    quantized: torch.Tensor
    indices: torch.Tensor | None
    loss: torch.Tensor
