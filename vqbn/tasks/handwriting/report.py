"""The handwriting recipe's RESULTS.md: every variant and seed so far beside the paper's Table II, with curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vqbn.reports.figures import draw_curves, draw_norms, draw_usage, save_figures
from vqbn.reports.page import every_run, picture
from vqbn.reports.scale_figure import scale_table
from vqbn.reports.table import markdown_table, shown, spread
from vqbn.reports.variants import LABELS, by_name
from vqbn.runs.pictures import kept_pictures
from vqbn.runs.results import Result
from vqbn.runs.task import Runs
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
# Those of them that every run is listed with.
RUN_SCORES = ("reconstruction_bpd", "uniform_nelbo", "unigram_nelbo", "perplexity", "used_codes")

INTRODUCTION = """\
Written by `vqbn-report` from the results files; change those and run it again instead of editing this.

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


def report(runs: Runs) -> str:
    """RESULTS.md of line autoencoders, and its figures; as `Task.report`, with a table for each set."""
    parts = [f"# {runs.title}\n", INTRODUCTION]
    for place, results in runs.sections.items():
        data = "; ".join(dict.fromkeys(result.data for result in results))
        groups = by_name(results)
        parts.append(f"## {data}\n")
        for set_name in dict.fromkeys(name for result in results for name in result.scores):
            parts += [f"### Set `{set_name}`\n", table_ii(groups, set_name)]
        parts.append(settings(results))
        parts += [picture(file, runs.folder, text) for file, text in draw(results, place / "figures", data).items()]
        if lines := [part for each in groups.values() for part in pictures(each, place / "figures", runs.folder)]:
            parts += ["### Lines and their codes\n", PICTURED, *lines]
        if place in runs.scales:
            parts.append(scale_table(*runs.scales[place], runs.folder, "characters", "bits per pixel in training", 3))
        columns = ["set", *(SCORES[key][0] for key in RUN_SCORES)]
        ordered = [run for each in groups.values() for run in each]
        parts += ["### Every run\n", every_run(ordered, columns, run_cells, left=3)]
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
    files = save_figures({name: make for name, (make, _) in drawings.items()}, folder)
    return {file: drawings[name][1] for name, file in files.items()}


def pictures(runs: Sequence[Result], figures: Path, folder: Path) -> list[str]:
    """What was kept of the first of a row's runs that has pictures."""
    for run in runs:
        if files := kept_pictures(figures, run.name, run.seed):
            label = f"{LABELS.get(run.name, run.name)}, seed {run.seed}"
            caption = f"{label}: a line, what the decoder draws from its codes, and the codes."
            return [picture(file, folder, caption) for file in files]
    return []


def run_cells(run: Result) -> list[list[str]]:
    """A run's scores, a line for each set."""
    return [
        [f"`{name}`", *(f"{scores[key]:,.{SCORES[key][1]}f}" if key in scores else "–" for key in RUN_SCORES)]
        for name, scores in run.scores.items()
    ]
