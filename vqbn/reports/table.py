"""The rows of the paper's Table I, and means and spreads over seeds."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vqbn.runs.results import Result


class Row(NamedTuple):
    """A row of the paper's Table I (WSJ: PER on dev93 in percent, and the codebook's perplexity), or one beside it."""

    variant: str
    label: str
    paper_per: float | None
    paper_perplexity: float | None


TABLE_I = (
    Row("vanilla", "vanilla VQ", 16.9, 16),
    Row("bn", "+ BN", 17.6, 16.5),
    Row("bn_lr", "+ BN + codebook LR", 13.1, 151),
    Row("bn_ema", "+ BN + EMA", 10.5, 61.8),
    Row("bn_reest", "+ BN + data-dep. re-estimation", 10.4, 393),
    Row("bn_reest_lr", "+ BN + data-dep. re-estimation + codebook LR", 9.8, 574),
    Row("none", "no bottleneck", 11.6, None),
)

# What the paper doesn't have.
BEST = Row("best", "all three + balanced clusterings (not in the paper)", None, None)

LABELS = {row.variant: row.label for row in (*TABLE_I, BEST)}

# Other libraries' quantisers (conf/peers/).
PEER_LABELS = {
    "vqp_ema": "EMA, k-means start, dead codes replaced",
    "rotation": "EMA, rotation trick",
    "cosine": "EMA, cosine codes",
    "simvq": "SimVQ",
    "fsq": "FSQ",
}
# The same behind batch normalisation.
PEER_LABELS |= {f"bn_{name}": f"BN + {label}" for name, label in PEER_LABELS.items()}


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


def by_name(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Runs grouped by name, sorted by seed: the paper's rows in its order, the peers, then the others by name."""
    order = {name: i for i, name in enumerate([*LABELS, *PEER_LABELS])}
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda r: (order.get(r.name, len(order)), r.name, r.seed)):
        groups.setdefault(result.name, []).append(result)
    return groups


def sized_variant(result: Result) -> tuple[str, int] | None:
    """The variant and K of a run that changes nothing but K (`bn`, `bn-K512`); None for other runs."""
    name, _, change = result.name.partition("-")
    size = result.config.get("vq_codebook_size")
    if size is None or change not in ("", f"K{size}") or result.config.get("bottleneck") == "linear":
        return None
    return name, size


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
