"""Features with their derivatives, on the way into an encoder."""

import torch
from torch import Tensor, nn

from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.deltas import delta_kernels

ORDERS = 3  # static, delta, delta-delta


class DeltaFeatures(nn.Module):
    """Appends delta and delta-delta as `vqbn.kaldi.deltas.add_deltas` does, within each item's length; may normalise.

    Args:
        dims: features per frame.
        cmvn: a file of Kaldi's global statistics over static features and both derivatives, as stage 2 of the recipes
            writes it; None: nothing is normalised here.

    Raises:
        InputError: the file is no such one, or of other features.
    """

    def __init__(self, dims: int, cmvn: str | None = None):
        super().__init__()
        # (orders, taps), the shorter ones with zeros around.
        longest = delta_kernels()[-1]
        kernels = torch.zeros(ORDERS, len(longest))
        for row, kernel in enumerate(delta_kernels()):
            first = (len(longest) - len(kernel)) // 2
            kernels[row, first : first + len(kernel)] = torch.from_numpy(kernel)
        self.reach = len(longest) // 2
        self.register_buffer("kernels", kernels, persistent=False)
        self.register_buffer("scale", torch.ones(dims, ORDERS))
        self.register_buffer("shift", torch.zeros(dims, ORDERS))
        if cmvn is not None:
            stats = read_cmvn(cmvn, dims * ORDERS)
            self.scale.copy_(torch.from_numpy(1 / stats.std).view(ORDERS, dims).T)
            self.shift.copy_(torch.from_numpy(-stats.mean / stats.std).view(ORDERS, dims).T)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Compute the derivatives.

        Args:
            x: (batch, time, dims); what stands in padded frames does not matter.
            lengths: (batch,) int64 valid frames.

        Returns:
            (batch, time, dims, 3).
        """
        frames = torch.arange(-self.reach, x.shape[1] + self.reach, device=x.device)
        # Frames before the first and after the last valid one are copies of those.
        places = frames.clamp(min=0).minimum((lengths.to(x.device) - 1).clamp(min=0)[:, None])
        spread = x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2]))
        windows = spread.unfold(1, 2 * self.reach + 1, 1)  # (batch, time, dims, taps)
        return windows @ self.kernels.T * self.scale + self.shift
