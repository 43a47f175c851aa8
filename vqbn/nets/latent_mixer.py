"""The authors' mixer of neighbouring latents, between bottleneck and head."""

import torch.nn.functional as F
from torch import Tensor, nn

from vqbn.nets.deepspeech2 import valid_frames


class LatentMixer(nn.Module):
    """A 1×1 convolution, then residual convolutions of width 3: each output sees 5 latents on either side.

    The paper's head is a 1×1 convolution alone; the authors' code puts this stack in front of it.

    Args:
        input_dim: dimension of the latents.
        hidden_dim: channels, and the dimension of the output.
        dilations: one residual block each.
    """

    def __init__(self, input_dim: int, hidden_dim: int = 64, dilations: tuple[int, ...] = (1, 2, 1, 1)):
        super().__init__()
        self.entry = nn.Conv1d(input_dim, hidden_dim, 1)
        self.blocks = nn.ModuleList(nn.Conv1d(hidden_dim, hidden_dim, 3, padding=d, dilation=d) for d in dilations)
        self.output_dim = hidden_dim

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Mix latents.

        Args:
            x: (batch, time, input_dim).
            lengths: (batch,) int64, valid latents; None: all are.

        Returns:
            (batch, time, hidden_dim).
        """
        mask = valid_frames(lengths, x.shape[1])
        x = self.entry(x.transpose(1, 2))
        for block in self.blocks:
            y = F.relu(x)
            if mask is not None:
                y = y.masked_fill(~mask[:, None], 0.0)
            x = x + block(y)
        return F.relu(x).transpose(1, 2)
