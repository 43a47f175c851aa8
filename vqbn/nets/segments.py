"""When CTC says what: the best path's symbols with their times."""

from typing import NamedTuple

import torch

from vqbn.nets.ctc import BLANK


class Spoken(NamedTuple):
    """A symbol and when it is heard.

    Attributes:
        symbol: its number.
        start: the first latent whose best symbol it is.
        end: the latent after the last one.
    """

    symbol: int
    start: int
    end: int


def best_path_segments(log_probs: torch.Tensor) -> list[Spoken]:
    """The symbols of the best path, as `greedy_decode` gives them, with the latents where each is the best.

    CTC is free to say a symbol anywhere in its sound, and briefly: the times are within a sound, not its borders.

    Args:
        log_probs: (time, symbols) of one sequence; index 0 is the blank.
    """
    best = log_probs.argmax(-1)
    symbols, counts = torch.unique_consecutive(best, return_counts=True)
    ends = counts.cumsum(0)
    found = zip(symbols.tolist(), (ends - counts).tolist(), ends.tolist(), strict=True)
    return [Spoken(symbol, start, end) for symbol, start, end in found if symbol != BLANK]
