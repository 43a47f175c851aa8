"""What a search over settings tried, and what it found best."""

from collections.abc import Sequence
from dataclasses import dataclass

from vqbn.reports.table import markdown_table, spread
from vqbn.reports.variants import LABELS, by_name
from vqbn.runs.results import Result
from vqbn.runs.task import Tuned

# What tells runs of a search apart without being a setting.
NOT_A_SETTING = ("seed",)
DEFAULT = "default"


@dataclass(frozen=True)
class Trial:
    """One setting of one variant, over its seeds.

    Attributes:
        variant: the configuration file's variant.
        setting: its name; `default` is the variant as its files have it.
        changed: key → value where it differs from `default`; empty too where `default` was not run.
        score: the mean of what is made small.
        tie: the mean, at the last evaluation in training, of what tells settings with the same score apart; None where
            the curves have none.
        perplexity: mean, or None without codes.
        seeds: those that were run.
    """

    variant: str
    setting: str
    changed: dict[str, object]
    score: float
    tie: float | None
    perplexity: float | None
    seeds: tuple[int, ...]


def trials(results: Sequence[Result], set_name: str, tuned: Tuned) -> dict[str, list[Trial]]:
    """Variant → its settings, the best first: lowest score, then what breaks ties; variants in the paper's order.

    Args:
        results: runs named `<variant>-<setting>`.
        set_name: the set to choose on; runs that were not scored on it are left out.
        tuned: what is made small.
    """
    found: dict[str, list[Trial]] = {}
    groups = by_name(results)
    for name, runs in groups.items():
        score = spread(runs, set_name, tuned.score)
        if score is None:
            continue
        variant = runs[0].variant
        setting = name.partition("-")[2] or DEFAULT
        base = groups.get(f"{variant}-{DEFAULT}") or groups.get(variant)
        ties = [run.curve[-1][tuned.tie] for run in runs if run.curve and run.curve[-1].get(tuned.tie) is not None]
        perplexity = spread(runs, set_name, "perplexity")
        trial = Trial(
            variant,
            setting,
            changed_keys(runs[0], base[0]) if base else {},
            score.mean,
            sum(ties) / len(ties) if ties else None,
            perplexity.mean if perplexity else None,
            tuple(run.seed for run in runs),
        )
        found.setdefault(variant, []).append(trial)
    for each in found.values():
        each.sort(key=lambda trial: order_of(trial, tuned))
    # The paper's rows in its order, then the others.
    order = {variant: place for place, variant in enumerate(LABELS)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def order_of(trial: Trial, tuned: Tuned) -> tuple[float, float]:
    """What trials are sorted by: the score to a digit more than is shown, then what breaks ties."""
    score = round(tuned.row.scale * trial.score, tuned.row.digits + 1)
    return score, float("inf") if trial.tie is None else trial.tie


def changed_keys(run: Result, base: Result) -> dict[str, object]:
    """Key → the run's value, where its configuration differs from another's in more than the seed."""
    return {
        key: value
        for key, value in run.config.items()
        if key not in NOT_A_SETTING and value != base.config.get(key, value)
    }


def tuning_table(results: Sequence[Result], set_name: str, tuned: Tuned) -> str:
    """Every setting tried, the best of each variant in bold, as a Markdown table."""
    rows = []
    for variant, tried in trials(results, set_name, tuned).items():
        for place, trial in enumerate(tried):
            name = f"**{trial.setting}**" if place == 0 else trial.setting
            rows.append(
                [
                    f"`{variant}`",
                    name,
                    ", ".join(f"{key} {value}" for key, value in trial.changed.items()) or "–",
                    ", ".join(map(str, trial.seeds)),
                    f"{tuned.row.scale * trial.score:.{tuned.row.digits}f}",
                    "–" if trial.tie is None else f"{trial.tie:.3f}",
                    "–" if trial.perplexity is None else f"{trial.perplexity:,.1f}",
                ]
            )
    header = ["variant", "setting", "changed", "seeds", tuned.row.name, "loss", "perplexity"]
    return markdown_table(header, rows, left=4)


def chosen_keys(results: Sequence[Result], set_name: str, tuned: Tuned) -> dict[str, dict[str, object]]:
    """Variant → the keys in which its best setting differs from its files; empty where the files are best."""
    return {variant: tried[0].changed for variant, tried in trials(results, set_name, tuned).items()}
