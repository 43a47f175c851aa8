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


@dataclass(frozen=True)
class Reestimation:
    """One clustering, as it happened.

    Attributes:
        update: the first update with the new codebook, counted from 1.
        vectors: how many vectors were clustered.
        inertia_before: mean squared distance of these vectors to the nearest codeword of the old codebook.
        inertia_after: the same with the new codebook.
        used: how many codewords are the nearest of some vector, over all codebooks.
        seconds: how long it took; None in what was restored from a checkpoint.
    """

    update: int
    vectors: int
    inertia_before: float
    inertia_after: float
    used: int
    seconds: float | None = None

    def state(self) -> dict:
        """Plain values for `Reestimation(**state)`, without the time: equal runs have equal states."""
        values = asdict(self)
        del values["seconds"]
        return values
