"""RESULTS.md: every variant and seed so far beside the paper's Table I, with intervals, curves and commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vqbn.reports.page import every_run, picture
from vqbn.reports.scale_figure import scale_table
from vqbn.reports.table import markdown_table, shown, spread
from vqbn.reports.tuning import changed_keys, tuning_table
from vqbn.reports.variants import BEST, LABELS, PEER_LABELS, by_name
from vqbn.runs.results import Result
from vqbn.runs.task import Runs
from vqbn.tasks.recognition.comparison import agreement, differences, espnet_differences, peer_differences
from vqbn.tasks.recognition.figures import draw_figures
from vqbn.tasks.recognition.paper import TABLE_I
from vqbn.tasks.recognition.scores import TUNED

SCORE_COLUMNS = (
    "PER %",
    "PER % without SIL",
    "perplexity",
    "perplexity / K",
    "perplexity without SIL",
    "codes used of those counted",
    "phone purity %",
    "PNMI %",
    "bits/s",
)

CAPTIONS = {
    "per": "Phone error rate on the development set against updates (the paper's Figure 2).",
    "perplexity": "Perplexity of the codebook against updates.",
    "usage": "How often each code occurs, the most frequent first; a line ends at the last code used.",
    "norms": "Mean norms of codewords and encoder outputs over training (section III-A).",
    "rate": "Rate against content: phone error rate and PNMI against the codes' bits per second, K beside each point.",
}

INTRODUCTION = """\
Written by `vqbn-report` from the results files; change those and run it again instead of editing this.

- **PER** is the phone error rate of greedy decoding without a language model, edits pooled over the whole set. SIL
  counts as a token, as in the paper's code; *without SIL* drops it from both sides. SPN and NSN are tokens in both.
- **Perplexity** is that of the codes of the whole set; *without SIL* leaves out the latents whose centre frame is
  silent. *Codes used of those counted*: how many of the K codes occur, and how many code tokens the set has.
- **Phone purity** and **PNMI** compare the codes with the phone of each latent's centre frame, as HuBERT defines them.
  **Bits/s** is the codes' unigram entropy times the latents per second.
- Means ± sample standard deviations over the seeds. The checkpoint decoded is the one with the lowest PER on the
  development set during training, unless *every run* says otherwise.
"""
BESIDE_THE_PAPER = """\
- The columns *paper* are those of the paper's Table I, measured on WSJ (dev93). Beside rows on other data, or from a
  model of another size, compare the order of the rows and not the numbers.
"""
# The recipes' own corpora, which stand beside the paper's numbers; anybody else's corpus has nothing to do with them.
BESIDE_IT = ("WSJ", "speechocean762", "mini speech corpus (espeak-ng)")


def report(runs: Runs) -> str:
    """RESULTS.md of recognisers, and its figures; as `Task.report`."""
    sections, figures, tuning, scales = {}, {}, {}, {}
    for folder, results in runs.sections.items():
        heading = "; ".join(dict.fromkeys(result.data for result in results))
        # Two folders may describe their data in the same words.
        heading = f"{heading} ({folder.name})" if heading in sections else heading
        sections[heading] = results
        set_name = runs.set_name or reported_set(results)
        figures[heading] = draw_figures(results, folder / "figures", heading, set_name)
        if folder in runs.searches:
            tuning[heading] = runs.searches[folder]
        if folder in runs.scales:
            scales[heading] = runs.scales[folder]
    return write_up(sections, figures, runs.folder, runs.set_name, runs.title, tuning, scales)


def write_up(
    sections: Mapping[str, Sequence[Result]],
    figures: Mapping[str, Mapping[str, Path]],
    folder: Path,
    set_name: str | None = None,
    title: str = "Results",
    tuning: Mapping[str, Sequence[Result]] | None = None,
    scales: Mapping[str, tuple[Sequence[dict], Path]] | None = None,
) -> str:
    """The report as Markdown.

    Args:
        sections: what the section's results have in common (their data), and its results; one section or more.
        figures: for each section, name → file, as `draw_figures` gives them.
        folder: the folder that the report will lie in, which links to figures start from.
        set_name: the set that the tables are about; None: in each section the first one of its results.
        title: the first line.
        tuning: for some sections, the runs of its search over settings, each named `<variant>-<setting>`.
        scales: for some sections, the points of `vqbn-scale-study` and its picture.

    Returns:
        Text that depends on nothing else, so that it changes only when results do.
    """
    beside = any(map(beside_the_paper, sections.values()))
    parts = [f"# {title}\n", INTRODUCTION + (BESIDE_THE_PAPER if beside else "")]
    for heading, results in sections.items():
        parts += section(heading, results, figures.get(heading, {}), folder, set_name or reported_set(results))
        if tuning and heading in tuning:
            parts.append(search(tuning[heading]))
        if scales and heading in scales:
            parts.append(scale_table(*scales[heading], folder))
    return "\n".join(parts)


def reported_set(results: Sequence[Result]) -> str:
    """The set that results are about, the first one that was scored."""
    return next(iter(results[0].scores))


def beside_the_paper(results: Sequence[Result]) -> bool:
    """Whether all results are of corpora that stand beside the paper's numbers; `data` begins with the corpus."""
    return all(result.data.split(",")[0] in BESIDE_IT for result in results)


def section(
    heading: str, results: Sequence[Result], figures: Mapping[str, Path], folder: Path, set_name: str
) -> list[str]:
    """The paragraphs about one corpus and alignment."""
    groups = by_name(result for result in results if not recognises_text(result))
    beside = beside_the_paper(results)
    parts = [f"## {heading}\n", f"Set: `{set_name}`.\n", table_i(groups, set_name, beside)]
    if beside and (order := agreement(groups, set_name)):
        parts.append(order)
    if peers := {name: runs for name, runs in groups.items() if name in PEER_LABELS}:
        rows = [[PEER_LABELS[name], f"`{name}`", *score_cells(runs, set_name)] for name, runs in peers.items()]
        parts += [
            "### Other libraries' quantisers\n",
            markdown_table(["layer", "variant", "seeds", *SCORE_COLUMNS], rows, left=3),
        ]
    if others := {name: runs for name, runs in groups.items() if name not in LABELS and name not in PEER_LABELS}:
        parts += ["### Other configurations\n", ablations(groups, others, set_name)]
    if texts := by_name(filter(recognises_text, results)):
        parts += ["### Text targets\n", text_table(texts, set_name)]
    more = dict.fromkeys(name for result in results for name in result.scores if name != set_name)
    for other in more:
        parts += [f"### The same on `{other}`\n", table_i(groups, other, beside)]
    if comparison := differences(groups, set_name):
        parts += ["### Differences from no bottleneck\n", comparison]
    if comparison := peer_differences(groups, set_name):
        parts += ["### Differences from other libraries' quantisers\n", comparison]
    if comparison := espnet_differences(groups, set_name):
        parts += ["### In ESPnet2 beside our own recipe\n", comparison]
    if figures:
        parts.append("### Figures\n")
        parts += [picture(path, folder, CAPTIONS[name]) for name, path in figures.items()]
    if results:
        runs = [run for each in (groups | texts).values() for run in each]
        columns = ["PER %", "sub", "del", "ins", "of", "perplexity", "codes used in any set"]
        parts += ["### Every run\n", every_run(runs, columns, lambda run: run_cells(run, set_name))]
    return parts


def recognises_text(result: Result) -> bool:
    """Whether a run recognises characters or pieces of words, so that it has word errors and no phone errors."""
    return any("wer" in scores for scores in result.scores.values())


def text_table(groups: Mapping[str, Sequence[Result]], set_name: str) -> str:
    """One line for each configuration with text targets."""
    rows = []
    for name, runs in groups.items():
        kind = ", ".join(dict.fromkeys(str(run.config.get("token_type", "")) for run in runs))
        cells = [shown(spread(runs, set_name, key)) for key in ("wer", "cer", "perplexity", "bits_per_second")]
        seeds = ", ".join(str(run.seed) for run in runs if set_name in run.scores) or f"not scored on {set_name}"
        rows.append([f"`{name}`", kind, data_of(runs), seeds, *cells])
    header = ["configuration", "targets", "data", "seeds", "WER %", "CER %", "perplexity", "bits/s"]
    return markdown_table(header, rows, left=4)


def ablations(groups: Mapping[str, Sequence[Result]], others: Mapping[str, Sequence[Result]], set_name: str) -> str:
    """One line for each run that is no row of the paper, with what it changes in its variant."""
    rows = []
    for name, runs in others.items():
        base = groups.get(runs[0].variant)
        changed = changed_keys(runs[0], base[0]) if base and runs[0].variant != name else {}
        cells = ", ".join(f"{key} {value}" for key, value in changed.items()) or "–"
        rows.append([f"`{name}`", cells, data_of(runs), *score_cells(runs, set_name)])
    return markdown_table(["configuration", "changed", "data", "seeds", *SCORE_COLUMNS], rows, left=4)


def search(results: Sequence[Result]) -> str:
    """What was tried before the settings were fixed, on the set that the search chose on."""
    set_name = next(iter(results[0].scores))
    updates = sorted({run.config["max_updates"] for run in results if "max_updates" in run.config})
    trained = f", after {', '.join(f'{update:,}' for update in updates)} updates" if updates else ""
    return (
        f"### Settings tried\n\nSet: `{set_name}`{trained}. The best of each variant in bold: the lowest PER, then the "
        f"lowest loss in training.\n\n{tuning_table(results, set_name, TUNED)}"
    )


def table_i(groups: Mapping[str, Sequence[Result]], set_name: str, beside: bool) -> str:
    """The seven rows in the paper's order, beside its two columns if `beside`; a row without results says so.

    Our own follows where it was run.
    """
    header = ["model", "variant", "data", "seeds", *SCORE_COLUMNS]
    header += ["paper: PER % (WSJ dev93)", "paper: perplexity (WSJ dev93)"] if beside else []
    rows = []
    for variant in [*TABLE_I, *([BEST] if groups.get(BEST) else [])]:
        runs = groups.get(variant, ())
        paper = ["–", "–"]
        if variant in TABLE_I:
            per, perplexity = TABLE_I[variant]
            paper = [f"{per}", "N/A" if perplexity is None else f"{perplexity:g}"]
        cells = [LABELS[variant], f"`{variant}`", data_of(runs), *score_cells(runs, set_name)]
        rows.append(cells + paper if beside else cells)
    return markdown_table(header, rows, left=4)


def score_cells(runs: Sequence[Result], set_name: str) -> list[str]:
    """The seeds and each score's mean and spread; "not run" where there is no run with scores of the set."""
    scored = [run for run in runs if set_name in run.scores]
    if not scored:
        reason = f"not scored on {set_name}" if runs else "not run"
        return [reason, *["–"] * len(SCORE_COLUMNS)]

    def cell(key: str, digits: int = 1, scale: float = 1) -> str:
        return shown(spread(scored, set_name, key), digits, scale)

    perplexity, size = spread(scored, set_name, "perplexity"), spread(scored, set_name, "codebook_size")
    share = f"{perplexity.mean / size.mean:.2f}" if perplexity and size else "–"
    seen = spread(scored, set_name, "codes_seen")
    used = f"{cell('used_codes', 0)} of {seen.mean:,.0f}" if seen else "–"
    return [
        ", ".join(str(run.seed) for run in scored),
        cell("per"),
        cell("per_nosil"),
        cell("perplexity"),
        share,
        cell("perplexity_nosil"),
        used,
        cell("phone_purity", scale=100),
        cell("pnmi", scale=100),
        cell("bits_per_second"),
    ]


def data_of(runs: Sequence[Result]) -> str:
    """What the runs were trained and scored on."""
    return "; ".join(dict.fromkeys(run.data for run in runs)) or "–"


def run_cells(run: Result, set_name: str) -> list[list[str]]:
    """A run's errors and its use of the codebook, in one line."""
    scores = run.scores.get(set_name, {})
    counts = (scores.get(key) for key in ("substitutions", "deletions", "insertions", "reference_length"))
    return [
        [
            error_rate(scores),
            *("–" if count is None else f"{count:,}" for count in counts),
            f"{scores['perplexity']:,.1f}" if "perplexity" in scores else "–",
            codes_in_any_set(run),
        ]
    ]


def error_rate(scores: Mapping[str, float]) -> str:
    """`54.12`, or `61.30 (WER)` for a run with text targets, whose edits are of words."""
    if "wer" in scores:
        return f"{scores['wer']:.2f} (WER)"
    return f"{scores['per']:.2f}" if "per" in scores else "–"


def codes_in_any_set(run: Result) -> str:
    """How many codes occur in at least one of the scored sets: `1,990 of 2,048 (train, dev)`."""
    if not run.usage:
        return "–"
    used = np.any([np.asarray(counts) > 0 for counts in run.usage.values()], axis=0)
    return f"{used.sum():,} of {used.size:,} ({', '.join(run.usage)})"
