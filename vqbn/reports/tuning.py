"""What a search over settings tried, and what it found best."""

from collections.abc import Sequence
from dataclasses import dataclass

from vqbn.reports.table import LABELS, by_name, markdown_table, spread
from vqbn.runs.results import Result

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
        per: mean phone error rate in percent.
        loss: mean CTC loss of the last evaluation in training, which tells settings apart that recognise nothing;
            None where the curves have none.
        perplexity: mean, or None without codes.
        seeds: those that were run.
    """

    variant: str
    setting: str
    changed: dict[str, object]
    per: float
    loss: float | None
    perplexity: float | None
    seeds: tuple[int, ...]


def trials(results: Sequence[Result], set_name: str) -> dict[str, list[Trial]]:
    """Variant → its settings, the best first: lowest PER, then lowest loss; variants in the paper's order.

    Args:
        results: runs named `<variant>-<setting>`.
        set_name: the set to choose on; runs that were not scored on it are left out.
    """
    found: dict[str, list[Trial]] = {}
    groups = by_name(results)
    for name, runs in groups.items():
        per = spread(runs, set_name, "per")
        if per is None:
            continue
        variant = runs[0].variant
        setting = name.partition("-")[2] or DEFAULT
        base = groups.get(f"{variant}-{DEFAULT}") or groups.get(variant)
        losses = [run.curve[-1]["dev_loss"] for run in runs if run.curve and run.curve[-1].get("dev_loss") is not None]
        perplexity = spread(runs, set_name, "perplexity")
        trial = Trial(
            variant,
            setting,
            changed_keys(runs[0], base[0]) if base else {},
            per.mean,
            sum(losses) / len(losses) if losses else None,
            perplexity.mean if perplexity else None,
            tuple(run.seed for run in runs),
        )
        found.setdefault(variant, []).append(trial)
    for each in found.values():
        each.sort(key=lambda trial: (round(trial.per, 2), float("inf") if trial.loss is None else trial.loss))
    # The paper's rows in its order, then the others.
    order = {variant: place for place, variant in enumerate(LABELS)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def changed_keys(run: Result, base: Result) -> dict[str, object]:
    """Key → the run's value, where its configuration differs from another's in more than the seed."""
    return {
        key: value
        for key, value in run.config.items()
        if key not in NOT_A_SETTING and value != base.config.get(key, value)
    }


def tuning_table(results: Sequence[Result], set_name: str) -> str:
    """Every setting tried, the best of each variant in bold, as a Markdown table."""
    rows = []
    for variant, tried in trials(results, set_name).items():
        for place, trial in enumerate(tried):
            name = f"**{trial.setting}**" if place == 0 else trial.setting
            rows.append(
                [
                    f"`{variant}`",
                    name,
                    ", ".join(f"{key} {value}" for key, value in trial.changed.items()) or "–",
                    ", ".join(map(str, trial.seeds)),
                    f"{trial.per:.1f}",
                    "–" if trial.loss is None else f"{trial.loss:.3f}",
                    "–" if trial.perplexity is None else f"{trial.perplexity:,.1f}",
                ]
            )
    return markdown_table(["variant", "setting", "changed", "seeds", "PER %", "loss", "perplexity"], rows, left=4)


def chosen_keys(results: Sequence[Result], set_name: str) -> dict[str, dict[str, object]]:
    """Variant → the keys in which its best setting differs from its files; empty where the files are best."""
    return {variant: tried[0].changed for variant, tried in trials(results, set_name).items()}
