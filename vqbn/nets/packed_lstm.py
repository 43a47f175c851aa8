"""LSTM layers over padded batches."""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def run_lstm(lstm: nn.LSTM, x: Tensor, lengths: Tensor | None) -> Tensor:
    """Run a batch-first LSTM, each item up to its length.

    Args:
        lstm: one layer, with one direction or two.
        x: (batch, time, input).
        lengths: (batch,) int64 on any device; None: everything is valid.

    Returns:
        (batch, time, directions · size), zeros after each item's end.
    """
    if lengths is None:
        return lstm(x)[0]
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]
