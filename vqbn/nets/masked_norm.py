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
        # Channels first, as one long item: a batch norm over many short items is several times slower.
        frames = x.transpose(0, 1).flatten(1, 2)
        numbers = mask.flatten().nonzero().squeeze(1)
        out = torch.zeros_like(frames)
        if len(numbers):
            valid = super().forward(frames.index_select(1, numbers).unsqueeze(0)).squeeze(0)
            out = out.index_copy(1, numbers, valid.to(out.dtype))
        return out.unflatten(1, mask.shape).transpose(0, 1)
