"""A model out of a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn


@dataclass
class Loaded:
    """A trained model and what it was trained as.

    Attributes:
        model: in evaluation mode, on the CPU.
        about: what describes it: `config`, every key of its configuration; `update`, optimiser updates that it has
            seen; and what its module's `describe` gave.
        averaged: whether the weights are the averaged ones.
        path: the checkpoint.
    """

    model: nn.Module
    about: dict[str, object]
    averaged: bool
    path: Path

    @property
    def config(self) -> dict[str, object]:
        """Every key of its configuration."""
        return self.about["config"]

    @property
    def update(self) -> int:
        """Optimiser updates that it has seen."""
        return self.about["update"]
