"""The CTC loss."""

import torch.nn.functional as F
from torch import Tensor

BLANK = 0


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Connectionist temporal classification, per target token, averaged over the batch, in nats.

    An item without targets is to be all blanks, and counts as one of a single token. An item with more targets (and
    repeats) than latents is impossible and counts as 0.

    Args:
        log_probs: (batch, time, tokens); token 0 is the blank.
        lengths: (batch,) int64 valid latents.
        targets: (batch, longest) int64, without blanks; what follows an item's end is not read.
        target_lengths: (batch,) int64.

    Returns:
        A scalar, float32.
    """
    return F.ctc_loss(
        log_probs.float().transpose(0, 1), targets, lengths, target_lengths, BLANK, "mean", zero_infinity=True
    )
