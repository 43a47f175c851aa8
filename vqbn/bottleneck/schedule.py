"""When a codebook is re-estimated."""

import bisect
import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property


@dataclass(frozen=True)
class ReestimationSchedule:
    """The updates for which k-means makes a new codebook (section III-B).

    Updates are counted from 1. The first clustering is done before update `start`: the `start - 1` updates before it
    are the warm-up without quantisation. The others follow at gaps that begin with `every`, and each of which is
    `growth` times the one before, rounded up.

    Args:
        start: the first update with a clustered codebook, 1 or later.
        until: no clustering is planned for a later update; at least `start`.
        every: updates between the first two clusterings, 1 or more.
        growth: each gap over the one before, 1.0 or more.

    Raises:
        TypeError: `start`, `until` or `every` isn't an integer.
        ValueError: a value is out of its range.
    """

    start: int
    until: int
    every: int
    growth: float = 1.0
    _ratio: Fraction = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        for name in ("start", "until", "every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, not {value!r}")
        if self.start < 1:
            raise ValueError(f"start must be at least 1, not {self.start}: updates are counted from 1")
        if self.until < self.start:
            raise ValueError(f"until ({self.until}) must not be before start ({self.start})")
        if self.every < 1:
            raise ValueError(f"every must be at least 1, not {self.every}")
        if not (self.growth >= 1 and math.isfinite(self.growth)):
            raise ValueError(f"growth must be finite and at least 1, not {self.growth}: the gaps must not shrink")
        # As the decimal that was written: the nearest float to 1.1 is larger, and 10 updates would grow to 12.
        object.__setattr__(self, "_ratio", Fraction(repr(float(self.growth))))

    def updates(self) -> list[int]:
        """The plan: every update for which a clustering is to take effect, ascending."""
        return list(self._plan)

    @cached_property
    def _plan(self) -> tuple[int, ...]:
        plan, update, gap = [], self.start, self.every
        while update <= self.until:
            plan.append(update)
            update += gap
            gap = math.ceil(gap * self._ratio)
        return tuple(plan)

    @property
    def last(self) -> int:
        """The last update of the plan."""
        return self._plan[-1]

    def __contains__(self, update: int) -> bool:
        """Whether a clustering is planned for `update`."""
        position = bisect.bisect_left(self._plan, update)
        return position < len(self._plan) and self._plan[position] == update
