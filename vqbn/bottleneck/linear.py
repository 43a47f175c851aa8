"""No bottleneck, in a bottleneck's place."""

import torch
from torch import nn

from vqbn.bottleneck.output import BottleneckOutput
from vqbn.bottleneck.padding import valid_positions


class LinearBottleneck(nn.Module):
    """A linear layer with the interface of `VQBottleneck`: the row "no bottleneck" of Table I.

    Args:
        input_dim: dimension of the encoder's outputs.
        code_dim: dimension of what the rest of the model gets.
    """

    def __init__(self, input_dim: int, code_dim: int):
        super().__init__()
        self.input_dim = input_dim
        self.code_dim = code_dim
        self.projection = nn.Linear(input_dim, code_dim)

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> BottleneckOutput:
        """Project; padding becomes zeros.

        Args:
            x: (batch, time, input_dim), or (..., input_dim).
            lengths: integers (batch,), the valid positions of each sequence.
            mask: bool (...), True where a vector is real.

        Returns:
            `quantized` (..., code_dim) is the projection, `indices` None, `loss` 0.
        """
        valid = valid_positions(x, lengths, mask)
        if valid is not None:
            x = torch.where(valid.unsqueeze(-1), x, 0.0)
        projected = self.projection(x)
        if valid is not None:
            projected = torch.where(valid.unsqueeze(-1), projected, 0.0)
        return BottleneckOutput(projected, None, projected.new_zeros((), dtype=torch.float32))
