"""The image recipe's RESULTS.md: every variant and seed so far beside the paper's Table III, with Figure 4."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqbn import perplexity
from vqbn.reports.figures import draw_curves, draw_norms, draw_usage, save_figures
from vqbn.reports.page import every_run, picture
from vqbn.reports.table import markdown_table
from vqbn.reports.variants import LABELS
from vqbn.runs.pictures import kept_pictures
from vqbn.runs.results import Result
from vqbn.runs.task import Runs

BOTTLENECKS = {(8, 128): "8x128", (5, 1024): "5x1024"}
# The paper's Table III: median of five runs, bits per dimension of CIFAR-10's test set.
TABLE_III = {
    "vanilla": {"8x128": 4.679, "5x1024": 4.811},
    "bn": {"8x128": 4.677, "5x1024": 4.809},
    "bn_lr": {"8x128": 4.677, "5x1024": 4.796},
    "bn_ema": {"8x128": 4.683, "5x1024": 4.798},
    "bn_reest": {"8x128": 4.665, "5x1024": 4.807},
    "bn_reest_lr": {"8x128": 4.659, "5x1024": 4.802},
}

# What stage 4 draws of a run.
PICTURES = {
    "reconstructions": "originals above reconstructions",
    "samples": "images of codes drawn from the unigram prior",
}

INTRODUCTION = """\
Written by `vqbn-report` from the results files; change those and run it again instead of editing this.

- **Reconstruction** is -log2 p(image | codes) per dimension (a pixel's red, green or blue), with the decoder's
  distribution over 256 levels. **Uniform NELBO** adds what the codes cost if all were equally likely: log2(K) for each
  index, 1.167 bits per dimension for 8x128 and 1.042 for 5x1024. **Unigram NELBO** adds what they cost under their own
  frequencies in the set.
- What the paper's Table III calls *reconstruction BPD* is what the authors' code logs, and that is the uniform NELBO.
- **Perplexity** is that of each codebook's codes over the whole set: mean, and lowest to highest over codebooks and
  seeds. All sums are over the whole set.
- Medians over seeds, with the lowest and highest in brackets. The checkpoint scored is the one with the lowest uniform
  NELBO on the development images, 5 % of the training images, in the averaged weights.
- Numbers on a part of CIFAR-10, or from a smaller or shorter-trained model, can't be compared with the paper's, which
  are of the whole set, a model of 256 channels and some 780,000 updates. Compare the order of the rows.
"""


class Spread(NamedTuple):
    """Median, least and most over seeds."""

    median: float
    low: float
    high: float


def bottleneck_of(result: Result) -> str:
    """The bottleneck as Table III names it: `8x128`."""
    return f"{result.config['vq_num_codebooks']}x{result.config['vq_codebook_size']}"


def spread(results: Iterable[Result], set_name: str, key: str) -> Spread | None:
    """The spread of a score over runs; None where no run has it."""
    values = [result.scores[set_name][key] for result in results if key in result.scores.get(set_name, {})]
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def shown(value: Spread | None, digits: int, seeds: int) -> str:
    """`4.659 (4.655 to 4.663)`; without the brackets for one seed."""
    if value is None:
        return "–"
    text = f"{value.median:,.{digits}f}"
    return text if seeds < 2 else f"{text} ({value.low:,.{digits}f} to {value.high:,.{digits}f})"


def by_variant(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Runs of one bottleneck by name: the paper's rows in its order, then runs with other keys changed."""
    order = {variant: place for place, variant in enumerate(TABLE_III)}
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda r: (order.get(row_of(r), len(order)), r.name, r.seed)):
        groups.setdefault(row_of(result), []).append(result)
    return groups


def row_of(result: Result) -> str:
    """The variant of a run that changes nothing but the bottleneck's size, else its name."""
    return result.variant if result.name == f"{result.variant}-{bottleneck_of(result)}" else result.name


def report(runs: Runs) -> str:
    """RESULTS.md of image autoencoders, and its figures; as `Task.report`."""
    set_name = runs.set_name or "test"
    parts = [f"# {runs.title}\n", INTRODUCTION]
    for place, results in runs.sections.items():
        data = "; ".join(dict.fromkeys(result.data for result in results))
        parts += [f"## {data}\n", f"Set: `{set_name}`.\n"]
        bottlenecks = sorted({bottleneck_of(result) for result in results}, key=lambda name: (name != "8x128", name))
        for bottleneck in bottlenecks:
            chosen = [result for result in results if bottleneck_of(result) == bottleneck]
            parts += section(chosen, bottleneck, place, runs.folder, set_name, data)
    return "\n".join(parts)


def section(
    results: Sequence[Result], bottleneck: str, place: Path, folder: Path, set_name: str, data: str
) -> list[str]:
    """The paragraphs about one bottleneck."""
    groups = by_variant(results)
    parts = [f"### {bottleneck}\n", table_iii(groups, bottleneck, set_name)]
    if pace := catching_up(groups):
        parts.append(pace)
    for file, caption in draw(groups, bottleneck, place / "figures", set_name, data).items():
        parts.append(picture(file, folder, caption))
    for name, runs in groups.items():
        parts += pictures(LABELS.get(name, name), runs, place / "figures", folder, set_name)
    columns = ["uniform NELBO", "reconstruction", "unigram NELBO", "perplexity of each codebook"]
    runs = [run for runs in groups.values() for run in runs]
    parts.append(every_run(runs, columns, lambda run: run_cells(run, set_name)))
    return parts


def table_iii(groups: Mapping[str, Sequence[Result]], bottleneck: str, set_name: str) -> str:
    """The paper's six rows, beside its column for this bottleneck, then other runs."""
    header = ["model", "variant", "seeds", "uniform NELBO", "reconstruction", "unigram NELBO"]
    header += ["perplexity", "perplexity, least to most", "codes used", "paper (Table III)"]
    rows = []
    for name in [*TABLE_III, *(name for name in groups if name not in TABLE_III)]:
        runs = [run for run in groups.get(name, ()) if set_name in run.scores]
        label = LABELS.get(name, name)
        paper = TABLE_III.get(name, {}).get(bottleneck)
        cells = [shown(spread(runs, set_name, key), 4, len(runs)) for key in ("uniform_nelbo", "reconstruction_bpd")]
        cells += [shown(spread(runs, set_name, "unigram_nelbo"), 4, len(runs))]
        cells += [shown(spread(runs, set_name, "perplexity"), 1, len(runs)), perplexity_range(runs, set_name)]
        used = spread(runs, set_name, "used_codes")
        cells += [f"{used.median:,.0f} of {total_codes(runs[0]):,}" if used else "–"]
        seeds = ", ".join(str(run.seed) for run in runs) or "not run"
        rows.append([label, f"`{name}`", seeds, *cells, "–" if paper is None else f"{paper}"])
    return markdown_table(header, rows, left=3)


def total_codes(run: Result) -> int:
    """Codewords over all codebooks."""
    return run.config["vq_num_codebooks"] * run.config["vq_codebook_size"]


def perplexity_range(runs: Sequence[Result], set_name: str) -> str:
    """The lowest and highest perplexity of a codebook, over seeds."""
    values = [float(value) for run in runs if set_name in run.usage for value in perplexity(run.usage[set_name])]
    return f"{min(values):,.1f} to {max(values):,.1f}" if values else "–"


def catching_up(groups: Mapping[str, Sequence[Result]]) -> str:
    """When each variant's development NELBO reaches vanilla's last; empty without a vanilla to compare with."""
    target = {run.seed: last_nelbo(run) for run in groups.get("vanilla", ())}
    rows = []
    for name, runs in groups.items():
        cells = []
        for run in runs:
            if name == "vanilla" or target.get(run.seed) is None:
                continue
            total = max(point["update"] for point in run.curve)
            reached = [
                point["update"]
                for point in run.curve
                if point.get("dev_nelbo") is not None and point["dev_nelbo"] <= target[run.seed]
            ]
            cells.append(min(reached) / total if reached else None)
        if not cells:
            continue
        within = sorted(float("inf") if cell is None else cell for cell in cells)
        median = statistics.median(within)
        text = "not reached" if median == float("inf") else f"{median:.0%}"
        missed = sum(cell is None for cell in cells)
        rows.append([LABELS.get(name, name), f"`{name}`", str(len(cells)), text, str(missed)])
    if not rows:
        return ""
    header = [
        "model",
        "variant",
        "seeds",
        "share of the updates until vanilla's last NELBO",
        "seeds that never reach it",
    ]
    note = "Development NELBO against that of the same seed's vanilla after its last update; medians over seeds.\n\n"
    return note + markdown_table(header, rows, left=2)


def last_nelbo(run: Result) -> float | None:
    """The development NELBO after the last update."""
    points = [point for point in run.curve if point.get("dev_nelbo") is not None]
    return max(points, key=lambda point: point["update"])["dev_nelbo"] if points else None


def draw(
    groups: Mapping[str, Sequence[Result]], bottleneck: str, folder: Path, set_name: str, data: str
) -> dict[Path, str]:
    """Draw the figures of a bottleneck: file → caption."""
    # The figures know runs by their name, the paper's rows among them.
    runs = [replace(run, name=name) for name, group in groups.items() for run in group]
    title = f"{data}, {bottleneck}"
    drawings = {
        "nelbo": (
            lambda: draw_curves(runs, "dev_nelbo", "uniform NELBO (bits/dim)", f"Development NELBO\n{title}"),
            "Uniform NELBO on the development images against updates (the paper's Figure 4).",
        ),
        "perplexity": (
            lambda: draw_curves(runs, "perplexity", "perplexity, mean over codebooks", f"Perplexity\n{title}", True),
            "Perplexity of the codebooks on the development images against updates.",
        ),
        "usage": (
            lambda: draw_usage(runs, set_name, f"Use of the codebooks, codes sorted\n{title}: {set_name}"),
            "How often each code occurs, the most frequent first, over all codebooks.",
        ),
        "norms": (
            lambda: draw_norms(runs, f"Norms in training\n{title}"),
            "Mean norms of codewords and of the latents that are compared with them.",
        ),
    }
    named = {f"{name}_{bottleneck}": drawing for name, drawing in drawings.items()}
    files = save_figures({name: make for name, (make, _) in named.items()}, folder)
    return {file: named[name][1] for name, file in files.items()}


def pictures(label: str, runs: Sequence[Result], figures: Path, folder: Path, set_name: str) -> list[str]:
    """What was kept of the first of a row's runs that has pictures."""
    for run in runs:
        if files := kept_pictures(figures, run.name, run.seed):
            return [
                picture(file, folder, f"{label}, seed {run.seed}: {caption}.")
                for kind, caption in PICTURES.items()
                for file in files
                if file.stem.endswith(f"_{kind}_{set_name}")
            ]
    return []


def run_cells(run: Result, set_name: str) -> list[list[str]]:
    """A run's scores, in one line."""
    scores, usage = run.scores.get(set_name, {}), run.usage.get(set_name)
    keys = ("uniform_nelbo", "reconstruction_bpd", "unigram_nelbo")
    perplexities = " ".join(f"{value:.0f}" for value in np.atleast_1d(perplexity(usage))) if usage else "–"
    return [[*(f"{scores[key]:.4f}" if key in scores else "–" for key in keys), perplexities]]
