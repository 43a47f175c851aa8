"""The recognition report's figures: error rate, codebook use and norms in training, and rate against content."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from vqbn.reports.figures import (
    add_legend,
    draw_curves,
    draw_norms,
    draw_usage,
    label,
    new_figure,
    save_figures,
    style_of,
)
from vqbn.reports.table import spread
from vqbn.reports.variants import LABELS, PEER_LABELS, sized_variant
from vqbn.runs.results import Result


def draw_figures(results: Sequence[Result], folder: str | Path, data: str, set_name: str = "dev") -> dict[str, Path]:
    """Draw every figure that the results have data for.

    The paper's rows are drawn where there are any; runs with changed keys only where there are none.

    Args:
        results: runs on the same data.
        folder: gets the PNG files; older ones of the same name are replaced.
        data: what the runs were trained and scored on, for the titles' second line.
        set_name: the set whose usage histogram is drawn; the curves are of the runs' development set.

    Returns:
        Name (`per`, `perplexity`, `usage`, `norms`, `rate`) → file, in this order.

    Raises:
        OSError: a file can't be written.
    """
    shown = [result for result in results if result.name in LABELS] or list(results)
    sets = dict.fromkeys(result.config.get("dev_set", set_name) for result in shown)
    trained = f"{data}: {', '.join(sets)}"
    drawings: dict[str, Callable[[], Figure | None]] = {
        "per": lambda: draw_curves(
            shown, "dev_per", "phone error rate (%)", f"Phone error rate in training\n{trained}"
        ),
        "perplexity": lambda: draw_curves(
            shown, "perplexity", "codebook perplexity", f"Codebook perplexity in training\n{trained}", log=True
        ),
        "usage": lambda: draw_usage(shown, set_name, f"Use of the codebook, codes sorted\n{data}: {set_name}"),
        "norms": lambda: draw_norms(shown, f"Norms in training\n{trained}"),
        "rate": lambda: draw_rates(results, set_name, f"Rate against content\n{data}: {set_name}"),
    }
    return save_figures(drawings, folder)


def draw_rates(results: Sequence[Result], set_name: str, title: str) -> Figure | None:
    """PER and PNMI against bits per second: a line per variant through its codebook sizes, means over seeds.

    Drawn where there are several sizes of a variant, or peers to compare with; no bottleneck is a line across.
    """
    points: dict[str, dict[int, list[Result]]] = {}
    for result in results:
        if (sized := sized_variant(result)) and "bits_per_second" in result.scores.get(set_name, {}):
            points.setdefault(sized[0], {}).setdefault(sized[1], []).append(result)
    if not any(len(sizes) > 1 or variant in PEER_LABELS for variant, sizes in points.items()):
        return None
    figure, panels = new_figure(title, columns=2, share=False)
    order = {variant: place for place, variant in enumerate([*LABELS, *PEER_LABELS])}
    for position, variant in enumerate(sorted(points, key=lambda variant: (order.get(variant, len(order)), variant))):
        style = {"markersize": 5, "linewidth": 1.6, **style_of(variant, position)}
        for axes, (key, scale) in zip(panels, (("per", 1), ("pnmi", 100)), strict=True):
            line = sorted(
                (rate.mean, scale * value.mean, size)
                for size, runs in points[variant].items()
                if (rate := spread(runs, set_name, "bits_per_second")) and (value := spread(runs, set_name, key))
            )
            axes.plot([x for x, _, _ in line], [y for _, y, _ in line], label=label(variant), **style)
            # Of other libraries' lines the first and the last point only: there are many.
            for x, y, size in line[:: max(1, len(line) - 1)] if variant in PEER_LABELS else line:
                axes.annotate(f"{size:,}", (x, y), (3, 4), textcoords="offset points", fontsize=7, color=style["color"])
    unlimited = spread([result for result in results if result.name == "none"], set_name, "per")
    if unlimited:
        panels[0].axhline(unlimited.mean, color="black", linestyle="--", linewidth=1.2, label=label("none"))
    for axes, name in zip(panels, ("phone error rate (%)", "PNMI (%)"), strict=True):
        axes.set_ylabel(name)
        axes.set_xlabel("bits per second")
    add_legend(figure)
    return figure
