"""The handwriting recipe's RESULTS.md: every variant and seed so far beside the paper's Table II, with curves."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vqbn.files import replacing
from vqbn.reports.figures import draw_curves, draw_norms, draw_usage
from vqbn.reports.scale_figure import scale_table
from vqbn.reports.table import LABELS, by_name, markdown_table, shown, spread
from vqbn.runs.pictures import kept_pictures
from vqbn.runs.results import Result
from vqbn.tasks.handwriting.pictures import SAMPLES

# The paper's Table II, ScribbleLens: reconstruction, perplexity, uniform and unigram NELBO, in bits per pixel.
TABLE_II = {
    "vanilla": (0.213, 322, 0.307, 0.278),
    "bn": (0.216, 260, 0.309, 0.278),
    "bn_lr": (0.212, 432, 0.306, 0.281),
    "bn_ema": (0.207, 1118, 0.301, 0.287),
    "bn_reest": (0.200, 2388, 0.294, 0.288),
    "bn_reest_lr": (0.200, 2446, 0.294, 0.288),
}
PAPER = ("paper: rec. BPD", "paper: perplexity", "paper: uniform NELBO", "paper: unigram NELBO")
SCORES = {
    "reconstruction_bpd": ("rec. BPD", 4, 1),
    "perplexity": ("perplexity", 1, 1),
    "uniform_nelbo": ("uniform NELBO", 4, 1),
    "unigram_nelbo": ("unigram NELBO", 4, 1),
    "used_codes": ("codes used", 0, 1),
    "probe_cer": ("CER % of the index-only probe", 1, 1),
    "character_accuracy": ("character accuracy %", 1, 100),
}

INTRODUCTION = """\
Written by `vqbn-report-handwriting` from the results files; change those and run it again instead of editing this.

- **Rec. BPD** is −log2 p(line | codes) per pixel, over all pixels of whole lines: no line is cut into chunks, and no
  padding is counted. **Uniform NELBO** adds what the codes cost if all were equally likely, log2(K) for every 32 × 4
  pixels; **unigram NELBO** adds what they cost under their own frequencies in the set, log2(perplexity).
- **CER of the index-only probe**: characters read from code indices alone (an embedding per code, a linear layer, CTC),
  learnt on the training lines. **Character accuracy**: the share of aligned columns whose character is the most
  frequent one of their code.
- Means ± sample standard deviations over the seeds. The checkpoint scored is the one with the lowest BPD on the
  development lines, whole pages held out of train, in the averaged weights.
- The columns *paper* are those of the paper's Table II, measured on ScribbleLens with K = 4,096 and a model trained for
  150 epochs on a GPU. Beside rows on other handwriting, or from a smaller model, compare the order of the rows and not
  the numbers: bits per pixel depend on how much ink a scan has.
"""

PICTURED = f"""\
Below each line: one sample of the decoder given the line's codes, the mean of {SAMPLES} samples, which shows what the
codes settle, and what comes of taking the most likely level of each pixel in turn. That last one is often empty: no
single pixel is likely to begin a stroke, and an empty line can be more likely than the original.
"""


def write_up(
    sections: Mapping[Path, Sequence[Result]],
    folder: Path,
    title: str = "Results",
    scales: Mapping[Path, tuple[Sequence[dict], Path]] | None = None,
) -> str:
    """The report as Markdown; draws the figures into `figures/` of each section's folder.

    Args:
        sections: folder with results → its results, one or more.
        folder: the folder that the report will lie in, which links to figures start from.
        title: the first line.
        scales: for some sections, the points of `vqbn-scale-study` and its picture.

    Raises:
        OSError: a figure can't be written.
    """
    parts = [f"# {title}\n", INTRODUCTION]
    for place, results in sections.items():
        data = "; ".join(dict.fromkeys(result.data for result in results))
        groups = by_name(results)
        parts.append(f"## {data}\n")
        for set_name in dict.fromkeys(name for result in results for name in result.scores):
            parts += [f"### Set `{set_name}`\n", table_ii(groups, set_name)]
        parts.append(settings(results))
        parts += [picture(file, folder, caption) for file, caption in draw(results, place / "figures", data).items()]
        if shown_lines := [part for runs in groups.values() for part in pictures(runs, place / "figures", folder)]:
            parts += ["### Lines and their codes\n", PICTURED, *shown_lines]
        if scales and place in scales:
            parts.append(scale_table(*scales[place], folder, "characters", "bits per pixel in training", 3))
        parts += ["### Every run\n", every_run(groups)]
    return "\n".join(parts)


def table_ii(groups: Mapping[str, Sequence[Result]], set_name: str) -> str:
    """The paper's six rows beside its columns, then other runs; a row without results says so."""
    columns = [key for key in SCORES if any(key in r.scores.get(set_name, {}) for rs in groups.values() for r in rs)]
    rows = []
    for name in [*TABLE_II, *(name for name in groups if name not in TABLE_II)]:
        runs = [run for run in groups.get(name, ()) if set_name in run.scores]
        cells = [shown(spread(runs, set_name, key), *SCORES[key][1:]) for key in columns]
        paper = (
            [f"{value:g}" if value > 1 else f"{value:.3f}" for value in TABLE_II[name]]
            if name in TABLE_II
            else ["–"] * len(PAPER)
        )
        seeds = ", ".join(str(run.seed) for run in runs) or "not run"
        rows.append([LABELS.get(name, name), f"`{name}`", seeds, *cells, *paper])
    header = ["model", "variant", "seeds", *(SCORES[key][0] for key in columns), *PAPER]
    return markdown_table(header, rows, left=3)


def settings(results: Sequence[Result]) -> str:
    """The sizes that all the runs share, in a sentence."""
    names = {
        "vq_codebook_size": "K",
        "vq_code_dim": "D",
        "conv_channels": "channels of the first convolution",
        "pixelcnn_channels": "channels of the PixelCNN",
        "pixelcnn_layers": "its layers",
        "max_updates": "updates",
        "batch_size": "chunks per update",
    }
    # A linear bottleneck has no K.
    values = {
        name: dict.fromkeys(f"{result.config[name]:,}" for result in results if name in result.config) for name in names
    }
    return ", ".join(f"{text} {' or '.join(values[name])}" for name, text in names.items() if values[name]) + ".\n"


def draw(results: Sequence[Result], folder: Path, data: str) -> dict[Path, str]:
    """Draw the curves: file → caption."""
    trained = f"{data}: dev"
    set_name = "test" if any("test" in result.usage for result in results) else "dev"
    drawings = {
        "bpd": (
            lambda: draw_curves(results, "dev_bpd", "reconstruction (bits per pixel)", f"Reconstruction\n{trained}"),
            "Bits per pixel of the development lines against updates.",
        ),
        "nelbo": (
            lambda: draw_curves(results, "dev_unigram_nelbo", "bits per pixel", f"Unigram NELBO\n{trained}"),
            "Unigram NELBO of the development lines against updates.",
        ),
        "perplexity": (
            lambda: draw_curves(results, "perplexity", "codebook perplexity", f"Perplexity\n{trained}", True),
            "Perplexity of the codebook on the development lines against updates.",
        ),
        "usage": (
            lambda: draw_usage(results, set_name, f"Use of the codebook, codes sorted\n{data}: {set_name}"),
            "How often each code occurs, the most frequent first; a line ends at the last code used.",
        ),
        "norms": (
            lambda: draw_norms(results, f"Norms in training\n{trained}"),
            "Mean norms of codewords and encoder outputs over training (section III-A).",
        ),
    }
    files = {}
    for name, (make, caption) in drawings.items():
        figure = make()
        if figure is not None:
            with replacing(folder / f"{name}.png") as temporary:
                figure.savefig(temporary, dpi=150)
            files[folder / f"{name}.png"] = caption
    return files


def pictures(runs: Sequence[Result], figures: Path, folder: Path) -> list[str]:
    """What was kept of the first of a row's runs that has pictures."""
    for run in runs:
        if files := kept_pictures(figures, run.name, run.seed):
            label = f"{LABELS.get(run.name, run.name)}, seed {run.seed}"
            caption = f"{label}: a line, what the decoder draws from its codes, and the codes."
            return [picture(file, folder, caption) for file in files]
    return []


def picture(file: Path, folder: Path, caption: str) -> str:
    """A picture with its caption."""
    return f"![{caption}]({Path(os.path.relpath(file, folder)).as_posix()})\n\n*{caption}*\n"


def every_run(groups: Mapping[str, Sequence[Result]]) -> str:
    """One line per run and set, then the commands that trained them."""
    keys = ("reconstruction_bpd", "uniform_nelbo", "unigram_nelbo", "perplexity", "used_codes")
    header = ["run", "seed", "set", *(SCORES[key][0] for key in keys), "update", "commit", "configuration"]
    rows, commands = [], []
    for run in (run for runs in groups.values() for run in runs):
        for set_name, scores in run.scores.items():
            cells = [f"{scores[key]:,.{SCORES[key][1]}f}" if key in scores else "–" for key in keys]
            where = [f"{run.update:,} ({run.checkpoint})", f"`{run.commit[:10]}`", f"`{run.config_hash}`"]
            rows.append([f"`{run.name}`", str(run.seed), f"`{set_name}`", *cells, *where])
        commands.append(f"# {run.name}, seed {run.seed}\n{run.command}\n")
    return markdown_table(header, rows, left=3) + "\n```sh\n" + "".join(commands) + "```\n"
