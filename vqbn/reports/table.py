"""Means and spreads over seeds, and tables of them."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vqbn.runs.results import Result


class Spread(NamedTuple):
    """A mean over seeds, with the sample standard deviation (NaN for one seed) and the number of seeds."""

    mean: float
    deviation: float
    seeds: int


def spread(results: Iterable[Result], set_name: str, key: str) -> Spread | None:
    """Mean and sample standard deviation of a score over runs; None where no run has it."""
    values = [result.scores[set_name][key] for result in results if key in result.scores.get(set_name, {})]
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return Spread(statistics.fmean(values), deviation, len(values))


def shown(value: Spread | None, digits: int = 1, scale: float = 1) -> str:
    """`54.1 ± 0.3`, `54.1` for one seed, an en dash where there is nothing; thousands with commas."""
    if value is None:
        return "–"
    text = f"{scale * value.mean:,.{digits}f}"
    return text if value.seeds < 2 else f"{text} ± {scale * value.deviation:,.{digits}f}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are aligned to the left, the others to the right."""
    lines = [header, [":--" if i < left else "--:" for i in range(len(header))], *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
