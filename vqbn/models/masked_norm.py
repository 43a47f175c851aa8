"""Batch normalisation that does not see padding."""

import torch
from torch import Tensor, nn


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` over the valid frames of a padded batch.

    Mean and variance of a training step, and thus the running statistics, come from the valid frames alone; the padded
    ones come out as zeros.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise each channel.

        Args:
            x: (batch, channels, time, frequency).
            mask: (batch, time) bool, True where the frame is valid; None: all are.

        Returns:
            (batch, channels, time, frequency).
        """
        if mask is None:
            return super().forward(x)
        if not self.training:
            return super().forward(x) * mask[:, None, :, None]
        frames = x.permute(0, 2, 1, 3)
        out = torch.zeros_like(frames)
        if mask.any():
            valid = super().forward(frames[mask].unsqueeze(2)).squeeze(2)
            out[mask] = valid.to(out.dtype)
        return out.permute(0, 2, 1, 3)
