"""How far the training of a codebook has come."""

from dataclasses import asdict, dataclass


@dataclass
class Clock:
    """Where a bottleneck stands between two updates.

    Attributes:
        updates: updates done.
        pending: whether there was a training forward since the last of them.
        due: whether a planned clustering waits for vectors.
        quantizing: whether vectors are replaced by codewords yet.
    """

    updates: int = 0
    pending: bool = False
    due: bool = False
    quantizing: bool = True

    def state(self) -> dict:
        """Plain values for `Clock(**state)`."""
        return asdict(self)


@dataclass
class Lineage:
    """What a bottleneck and its deep copies share, averaged copies among them.

    Attributes:
        quantizing: whether one of them has clustered, or was given the state of one that had.
    """

    quantizing: bool = False

    def __deepcopy__(self, memo: dict) -> "Lineage":
        return self
