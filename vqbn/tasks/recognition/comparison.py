"""What is compared with what: the rows with no bottleneck, with the paper's order, and with other libraries' layers."""

import math
from collections.abc import Mapping, Sequence

from vqbn.reports.bootstrap import per_difference
from vqbn.reports.table import markdown_table, spread
from vqbn.reports.variants import LABELS, PEER_LABELS, sized_variant
from vqbn.runs.results import Result
from vqbn.tasks.recognition.paper import TABLE_I

OURS = "bn_reest_lr"
NOTE = (
    "Percentage points; a paired bootstrap (10,000 replicates) over speakers and, where there are several, seeds. "
    "With one seed the interval knows nothing of how much training itself varies, with few too little.\n\n"
)


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's rank correlation (tau-b, which allows for ties) of two orders of the same things.

    Args:
        first: values.
        second: as many, in the same order.

    Returns:
        From -1, opposite orders, to 1, the same; NaN where one of them has only ties.

    Raises:
        ValueError: the two differ in length.
    """
    signs = []
    for values, others in ((first, second), (second, first)):
        pairs = [(a, b) for i, a in enumerate(values) for b in values[i + 1 :]]
        if len(values) != len(others):
            raise ValueError(f"expected as many values, found {len(values)} and {len(others)}")
        signs.append([(a > b) - (a < b) for a, b in pairs])
    concordance = sum(a * b for a, b in zip(*signs, strict=True))
    untied = [sum(sign != 0 for sign in each) for each in signs]
    return concordance / (untied[0] * untied[1]) ** 0.5 if all(untied) else float("nan")


def agreement(groups: Mapping[str, Sequence[Result]], set_name: str) -> str:
    """How far the rows are in the paper's order, in a sentence; empty with fewer than three rows."""
    parts = []
    for key, what in (("per", "PER"), ("perplexity", "perplexity")):
        ours, papers = [], []
        for variant, row in TABLE_I.items():
            mean = spread(groups.get(variant, ()), set_name, key)
            paper = getattr(row, key)
            if mean is not None and paper is not None:
                ours.append(mean.mean)
                papers.append(paper)
        tau = kendall_tau(ours, papers)
        if len(ours) > 2 and not math.isnan(tau):
            parts.append(f"{tau:.2f} by {what} ({len(ours)} rows)")
    return f"Order of the rows against the paper's, Kendall's τ: {', '.join(parts)}.\n" if parts else ""


def differences(groups: Mapping[str, Sequence[Result]], set_name: str) -> str:
    """Each other row's PER less that of no bottleneck, with its interval; empty without anything to compare."""
    rows = []
    for name, runs in groups.items():
        base = without_bottleneck(name, groups)
        counts, baseline = (speaker_counts(each, set_name) for each in (runs, groups.get(base, ())))
        if not counts or not baseline:
            continue
        rows.append([LABELS.get(name, name), f"`{name}`", f"`{base}`", *difference_cells(counts, baseline)])
    if not rows:
        return ""
    header = ["model", "variant", "no bottleneck", "PER less that of it", "95 % interval", "seeds", "reading"]
    return NOTE + markdown_table(header, rows, left=3)


def without_bottleneck(name: str, groups: Mapping[str, Sequence[Result]]) -> str:
    """The runs without a bottleneck that differ least from those called `name`; nothing for themselves.

    Of `bn-plain-K512` these are `none-plain-K512` if there are such, or else `none-plain`, or `none`. A training in
    ESPnet2 is only compared with another there.
    """
    variant, *changes = name.split("-")
    if in_espnet(name):
        return "" if variant == "none" else "-".join(["none", *changes])
    if variant == "none":
        # A variant of it is compared with it.
        return "none" if changes else ""
    while changes and "-".join(["none", *changes]) not in groups:
        changes.pop()
    return "-".join(["none", *changes])


def peer_differences(groups: Mapping[str, Sequence[Result]], set_name: str) -> str:
    """Our best row's PER less that of each peer with the same K; empty without both.

    Rates are beside them: the codes of equal codebooks need not carry equally many bits.
    """
    rows = []
    ours = {sized[1]: runs for runs in groups.values() if (sized := sized_variant(runs[0])) and sized[0] == OURS}
    for runs in groups.values():
        variant, size = sized_variant(runs[0]) or ("", 0)
        if variant not in PEER_LABELS or size not in ours:
            continue
        mine, theirs = (speaker_counts(each, set_name) for each in (ours[size], runs))
        if not mine or not theirs:
            continue
        rates = [spread(each, set_name, "bits_per_second") for each in (ours[size], runs)]
        cells = [
            PEER_LABELS[variant],
            f"`{runs[0].name}`",
            f"{size:,}",
            *(f"{r.mean:.1f}" if r else "–" for r in rates),
        ]
        rows.append([*cells, *difference_cells(mine, theirs)])
    if not rows:
        return ""
    header = ["layer", "variant", "K", f"bits/s of `{OURS}`", "bits/s of the layer"]
    header += [f"PER of `{OURS}` less the layer's", "95 % interval", "seeds", "reading"]
    return NOTE + markdown_table(header, rows, left=2)


def espnet_differences(groups: Mapping[str, Sequence[Result]], set_name: str) -> str:
    """The PER of each training in ESPnet2 less that of our own recipe, with its interval; empty without both.

    Of our runs of the same variant those come first whose CTC loss, as ESPnet's, weighs all tokens alike.
    """
    rows = []
    for name, runs in groups.items():
        if not in_espnet(name):
            continue
        ours = [
            other
            for other in groups.values()
            if other[0].variant == runs[0].variant and not in_espnet(other[0].name) and speaker_counts(other, set_name)
        ]
        if not ours or not speaker_counts(runs, set_name):
            continue
        own = min(ours, key=lambda other: (other[0].config.get("ctc_average") != "token", len(other[0].name)))
        cells = [f"`{name}`", f"`{own[0].name}`"]
        cells += [", ".join(dict.fromkeys(f"{run.update:,}" for run in each)) for each in (runs, own)]
        rows.append([*cells, *difference_cells(*(speaker_counts(each, set_name) for each in (runs, own)))])
    if not rows:
        return ""
    header = ["in ESPnet2", "our recipe", "updates there", "updates here", "PER there less here", "95 % interval"]
    return NOTE + markdown_table([*header, "seeds", "reading"], rows, left=2)


def in_espnet(name: str) -> bool:
    """Whether a run of this name was trained in ESPnet2 (`run_espnet2.sh`)."""
    return "espnet2" in name.split("-")[1:]


def difference_cells(counts: Mapping, baseline: Mapping) -> list[str]:
    """A difference, its interval, the seeds and a reading, of two runs' `speaker_counts`."""
    try:
        difference = per_difference(counts, baseline)
    except ValueError as error:
        return ["–", "–", "–", f"not comparable: {error}"]
    reading = "no clear difference"
    if difference.low > 0:
        reading = "worse"
    elif difference.high < 0:
        reading = "better"
    seeds = f"{len(counts)} and {len(baseline)}" + (", paired" if difference.paired_seeds else "")
    return [f"{difference.mean:+.2f}", f"{difference.low:+.2f} to {difference.high:+.2f}", seeds, reading]


def speaker_counts(runs: Sequence[Result], set_name: str) -> dict[int, dict[str, tuple[int, int]]]:
    """Seed → speaker → edits and reference length, silence counting as a token."""
    return {
        run.seed: {s: (c["edits"], c["reference_length"]) for s, c in run.speakers[set_name].items()}
        for run in runs
        if run.speakers.get(set_name)
    }
