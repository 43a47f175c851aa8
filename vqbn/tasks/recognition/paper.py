"""The paper's Table I."""

from typing import NamedTuple


class Row(NamedTuple):
    """A row of Table I, on WSJ: PER on dev93 in percent, and the codebook's perplexity."""

    per: float
    perplexity: float | None


TABLE_I = {
    "vanilla": Row(16.9, 16),
    "bn": Row(17.6, 16.5),
    "bn_lr": Row(13.1, 151),
    "bn_ema": Row(10.5, 61.8),
    "bn_reest": Row(10.4, 393),
    "bn_reest_lr": Row(9.8, 574),
    "none": Row(11.6, None),
}
