"""How sure a difference of phone error rates is: a paired bootstrap over speakers and seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Difference(NamedTuple):
    """A difference of phone error rates in percentage points, with its interval.

    Attributes:
        mean: first minus second, from all speakers and seeds.
        low: the interval's lower end.
        high: the interval's upper end.
        paired_seeds: whether both systems were run with the same seeds, which were then drawn together.
    """

    mean: float
    low: float
    high: float
    paired_seeds: bool


def per_difference(
    first: Mapping[int, Mapping[str, tuple[int, int]]],
    second: Mapping[int, Mapping[str, tuple[int, int]]],
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
) -> Difference:
    """The difference of two systems' PER, averaged over seeds, with a percentile bootstrap interval.

    Each replicate draws speakers with replacement, the same for both systems, and seeds with replacement, the same for
    both where both were run with the same seeds. PER is pooled over the drawn speakers and averaged over the drawn
    seeds. With one seed only the speakers vary, so the interval says nothing of training's own randomness; with few
    (n) seeds their share of the interval comes out short by a factor of about sqrt((n - 1) / n).

    Args:
        first: edits and reference length of each speaker, for each seed.
        second: the same for the other system; the same speakers and reference lengths.
        level: the interval's coverage.
        replicates: bootstrap replicates.
        seed: of the bootstrap's own random numbers.

    Raises:
        ValueError: a system has no seed, or the speakers or their reference lengths differ.
    """
    speakers, lengths = reference_lengths([*first.values(), *second.values()])
    edits = [
        np.array([[system[s][speaker][0] for speaker in speakers] for s in sorted(system)])
        for system in (first, second)
    ]
    if not all(len(e) for e in edits):
        raise ValueError("expected results of at least one seed for each system")
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(speakers), np.full(len(speakers), 1 / len(speakers)), size=replicates)
    rates = [100 * (drawn @ e.T) / (drawn @ lengths)[:, None] for e in edits]
    paired = first.keys() == second.keys()
    seeds = rng.integers(len(edits[0]), size=(replicates, len(edits[0])))
    other = seeds if paired else rng.integers(len(edits[1]), size=(replicates, len(edits[1])))
    samples = np.take_along_axis(rates[0], seeds, 1).mean(1) - np.take_along_axis(rates[1], other, 1).mean(1)
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    mean = 100 * (edits[0].sum(1).mean() - edits[1].sum(1).mean()) / lengths.sum()
    return Difference(float(mean), float(low), float(high), paired)


def reference_lengths(runs: Sequence[Mapping[str, tuple[int, int]]]) -> tuple[list[str], np.ndarray]:
    """The speakers and their reference lengths, which have to be the same in all runs."""
    if not runs:
        raise ValueError("expected results of at least one seed for each system")
    expected = {speaker: length for speaker, (_, length) in runs[0].items()}
    for run in runs:
        found = {speaker: length for speaker, (_, length) in run.items()}
        if found != expected:
            raise ValueError("the runs were scored on different speakers or references")
    speakers = sorted(expected)
    lengths = np.array([expected[speaker] for speaker in speakers])
    if not lengths.sum():
        raise ValueError("expected reference tokens, found none")
    return speakers, lengths
