"""A warning when a codebook collapses."""

import torch

from vqbn.bottleneck.metrics import perplexity

# Below this share of the codebook's size a perplexity is a collapse, ...
SHARE = 0.05
# ... if it lasts for so many updates.
UPDATES = 500
# A window must hold so many updates, so that it is looked at seldom, and a vector per codeword, so that it can tell.
_WINDOW = 50


class CollapseAlarm:
    """Watches the perplexity of the codes, window by window, and goes off once.

    A window ends after 50 updates, or later if it then holds fewer vectors than the codebook has codewords.

    Args:
        codebook_size: K.

    Attributes:
        perplexity: that of the last whole window, lowest over codebooks, or None.
    """

    def __init__(self, codebook_size: int):
        self.codebook_size = codebook_size
        self.perplexity: float | None = None
        self.counts: torch.Tensor | None = None
        self._updates = 0
        self._low_for = 0
        self._went_off = False

    def update(self, counts: torch.Tensor) -> bool:
        """Count the codes of an update.

        Args:
            counts: int64 (num_codebooks, K), how often each codeword was used.

        Returns:
            Whether to warn, now.
        """
        if self._went_off:
            return False
        self.counts = counts.clone() if self.counts is None else self.counts.to(counts.device) + counts
        self._updates += 1
        if self._updates < _WINDOW or int(self.counts[0].sum()) < self.codebook_size:
            return False
        self.perplexity = perplexity(self.counts).min().item()
        self._low_for = self._low_for + self._updates if self.perplexity < SHARE * self.codebook_size else 0
        self.restart_window()
        self._went_off = self._low_for >= UPDATES
        return self._went_off

    def restart_window(self) -> None:
        """Forget the window that isn't complete: its codes are those of a codebook that is gone."""
        self.counts = None
        self._updates = 0

    def state(self) -> tuple[dict, dict[str, torch.Tensor]]:
        """Plain values, and tensors, for `load`."""
        values = {
            "perplexity": self.perplexity,
            "updates": self._updates,
            "low_for": self._low_for,
            "went_off": self._went_off,
        }
        return values, {} if self.counts is None else {"alarm_counts": self.counts}

    def load(self, values: dict, tensors: dict[str, torch.Tensor]) -> None:
        """Continue from what `state` gave."""
        self.perplexity = values["perplexity"]
        self._updates = values["updates"]
        self._low_for = values["low_for"]
        self._went_off = values["went_off"]
        self.counts = tensors.get("alarm_counts")
