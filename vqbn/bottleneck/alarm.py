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
        counts: of the window that isn't complete, int64 (num_codebooks, K), or None.
        last_counts: of the last whole window, if the codebook is still the same, or None.
    """

    def __init__(self, codebook_size: int):
        self.codebook_size = codebook_size
        self.perplexity: float | None = None
        self.counts: torch.Tensor | None = None
        self.last_counts: torch.Tensor | None = None
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
        self.counts = counts.clone() if self.counts is None else self.counts.to(counts.device) + counts
        self._updates += 1
        if self._updates < _WINDOW or int(self.counts[0].sum()) < self.codebook_size:
            return False
        self.perplexity = perplexity(self.counts).min().item()
        self._low_for = self._low_for + self._updates if self.perplexity < SHARE * self.codebook_size else 0
        self.last_counts, self.counts, self._updates = self.counts, None, 0
        goes_off = self._low_for >= UPDATES and not self._went_off
        self._went_off |= goes_off
        return goes_off

    def forget_counts(self) -> None:
        """Begin a new window: the codes counted so far are those of a codebook that is gone."""
        self.counts = self.last_counts = None
        self._updates = 0

    def state(self) -> tuple[dict, dict[str, torch.Tensor]]:
        """Plain values, and tensors, for `load`."""
        values = {
            "perplexity": self.perplexity,
            "updates": self._updates,
            "low_for": self._low_for,
            "went_off": self._went_off,
        }
        tensors = {"alarm_counts": self.counts, "alarm_last_counts": self.last_counts}
        return values, {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def load(self, values: dict, tensors: dict[str, torch.Tensor]) -> None:
        """Continue from what `state` gave."""
        self.perplexity = values["perplexity"]
        self._updates = values["updates"]
        self._low_for = values["low_for"]
        self._went_off = values["went_off"]
        self.counts = tensors.get("alarm_counts")
        self.last_counts = tensors.get("alarm_last_counts")
