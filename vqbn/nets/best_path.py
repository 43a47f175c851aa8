"""Reading symbols from CTC posteriors without a search."""

import torch

BLANK = 0


def greedy_decode(log_probs: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
    """The most likely symbol of each frame, repeats merged, then blanks dropped (Graves et al., 2006, best path).

    Two equal symbols come out as two only if a blank lies between them.

    Args:
        log_probs: (batch, frames, vocabulary) scores of which only the order within a frame matters; index 0 is blank.
        lengths: (batch,) valid frames of each sequence; what follows them is not read.

    Returns:
        One list of symbol indices (1 and up) per sequence.

    Raises:
        ValueError: a length is negative or longer than the frames there are.
    """
    if log_probs.dim() != 3 or lengths.shape != log_probs.shape[:1]:
        raise ValueError(
            f"expected log_probs (batch, frames, vocabulary) and lengths (batch,), "
            f"found {tuple(log_probs.shape)} and {tuple(lengths.shape)}"
        )
    best = log_probs.argmax(dim=-1).cpu()
    decoded = []
    for path, length in zip(best, lengths.tolist(), strict=True):
        if not 0 <= length <= len(path):
            raise ValueError(f"a length of {length} for a sequence of {len(path)} frames")
        merged = torch.unique_consecutive(path[:length])
        decoded.append(merged[merged != BLANK].tolist())
    return decoded
