"""The CTC loss."""

import torch.nn.functional as F
from torch import Tensor

BLANK = 0


def ctc_loss(
    log_probs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, average: str = "item"
) -> Tensor:
    """Connectionist temporal classification, per target token, averaged over the batch, in nats.

    An item without targets is to be all blanks, and counts as one of a single token. An item with more targets (and
    repeats) than latents is impossible and counts as 0 (its tokens in the average none the less).

    Args:
        log_probs: (batch, time, tokens); token 0 is the blank.
        lengths: (batch,) int64 valid latents.
        targets: (batch, longest) int64, without blanks; what follows an item's end is not read.
        target_lengths: (batch,) int64.
        average: "item": the mean over items of each one's loss per token, as the authors' code has it, where a token
            of a short item weighs more; "token": the mean over all tokens of the batch.

    Returns:
        A scalar, float32.
    """
    reduction = "sum" if average == "token" else "mean"
    loss = F.ctc_loss(
        log_probs.float().transpose(0, 1), targets, lengths, target_lengths, BLANK, reduction, zero_infinity=True
    )
    return loss / target_lengths.clamp(min=1).sum() if average == "token" else loss
