"""The report's figures: how error rate, codebook use and norms develop, and how evenly the codes are used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from vqbn.files import replacing
from vqbn.reports.variants import LABELS, PEER_LABELS, by_name
from vqbn.runs.results import Result

# Okabe and Ito's colours, which colour-blind readers tell apart; markers and dashes repeat the distinction.
STYLES = {
    "vanilla": {"color": "#CC79A7", "marker": "v"},
    "bn": {"color": "#E69F00", "marker": "s"},
    "bn_lr": {"color": "#56B4E9", "marker": "D"},
    "bn_ema": {"color": "#009E73", "marker": "^"},
    "bn_reest": {"color": "#0072B2", "marker": "o"},
    "bn_reest_lr": {"color": "#D55E00", "marker": "o", "linewidth": 2.4},
    "none": {"color": "#000000", "marker": "x", "linestyle": "--"},
    "best": {"color": "#882255", "marker": "*", "linestyle": "-."},
}
OTHERS = ("#7F7F7F", "#8C6D31", "#5254A3", "#AD494A", "#637939", "#A55194")
# Other libraries' quantisers: dotted as they are, solid behind batch normalisation.
for _peer, _colour in zip(("vqp_ema", "rotation", "cosine", "simvq", "fsq"), OTHERS[1:], strict=True):
    STYLES[_peer] = {"color": _colour, "marker": ".", "linestyle": ":"}
    STYLES[f"bn_{_peer}"] = {"color": _colour, "marker": "P", "linestyle": "-"}


def save_figures(drawings: Mapping[str, Callable[[], Figure | None]], folder: str | Path) -> dict[str, Path]:
    """Draw every figure that there is something to draw of.

    Args:
        drawings: name → what draws it, or gives None.
        folder: gets a PNG file of each name; an older one is replaced.

    Returns:
        Name → file of those that were drawn, in this order.

    Raises:
        OSError: a file can't be written.
    """
    files = {}
    for name, draw in drawings.items():
        if (figure := draw()) is not None:
            files[name] = Path(folder) / f"{name}.png"
            with replacing(files[name]) as temporary:
                figure.savefig(temporary, dpi=150)
    return files


def draw_curves(results: Sequence[Result], key: str, ylabel: str, title: str, log: bool = False) -> Figure | None:
    """A score against updates (the paper's Figure 2): per variant the mean over seeds, in a band from least to most."""
    if not any(curve_points(runs, key) for runs in by_name(results).values()):
        return None
    figure, axes = new_figure(title)
    plot_curves(axes, results, key)
    axes.set_ylabel(ylabel)
    if log:
        logarithmic(axes)
    else:
        # Before a model has learnt anything, insertions can take it far above 100 %.
        axes.set_ylim(top=min(axes.get_ylim()[1], 105))
    add_legend(figure)
    return figure


def draw_norms(results: Sequence[Result], title: str) -> Figure | None:
    """Mean norms of codewords and encoder outputs against updates, on the same logarithmic scale (section III-A)."""
    keys = {"codeword_norm": "codewords", "encoder_norm": "encoder outputs"}
    if not any(curve_points(runs, key) for runs in by_name(results).values() for key in keys):
        return None
    figure, panels = new_figure(title, columns=2)
    for axes, (key, name) in zip(panels, keys.items(), strict=True):
        plot_curves(axes, results, key)
        axes.set_title(name, fontsize=11)
        logarithmic(axes)
    panels[0].set_ylabel("mean Euclidean norm")
    add_legend(figure)
    return figure


def draw_usage(results: Sequence[Result], set_name: str, title: str) -> Figure | None:
    """How often each code occurs, the most frequent first: one line per run, the share of all codes on a log scale."""
    groups = {
        name: [np.asarray(result.usage[set_name]) for result in runs if np.any(result.usage.get(set_name, 0))]
        for name, runs in by_name(results).items()
    }
    groups = {name: histograms for name, histograms in groups.items() if histograms}
    if not groups:
        return None
    figure, axes = new_figure(title)
    for position, (name, histograms) in enumerate(groups.items()):
        for number, histogram in enumerate(histograms):
            counts = np.sort(histogram.ravel())[::-1]
            used = counts[counts > 0] / counts.sum()
            style = {**style_of(name, position), "marker": "o", "linewidth": 1.6, "linestyle": "-"}
            axes.plot(
                np.arange(1, len(used) + 1),
                100 * used,
                # A marker ends the line: what lies to its right was never used.
                markevery=[len(used) - 1],
                markersize=4,
                label=label(name) if number == 0 else None,
                **style,
            )
    sizes = {histogram.size for histograms in groups.values() for histogram in histograms}
    axes.set_xlabel(f"rank of the code (of K = {max(sizes):,})" if len(sizes) == 1 else "rank of the code")
    axes.set_xlim(0, max(sizes) * 1.02)
    axes.set_ylabel("share of all latents (%)")
    logarithmic(axes)
    add_legend(figure)
    return figure


def plot_curves(axes: Axes, results: Iterable[Result], key: str) -> None:
    """Lines and bands of one key, with a legend label each."""
    for position, (name, runs) in enumerate(by_name(results).items()):
        points = curve_points(runs, key)
        if not points:
            continue
        updates = sorted(points)
        style = {"linewidth": 1.6, "markersize": 4, **style_of(name, position)}
        axes.plot(updates, [fmean(points[u]) for u in updates], label=label(name), **style)
        if len(runs) > 1:
            low, high = ([extreme(points[u]) for u in updates] for extreme in (min, max))
            axes.fill_between(updates, low, high, color=style["color"], alpha=0.18, linewidth=0)
    axes.set_xlabel("updates")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(left=0)


def curve_points(runs: Iterable[Result], key: str) -> dict[int, list[float]]:
    """Update → the values of all runs that have one there."""
    points: dict[int, list[float]] = {}
    for run in runs:
        for point in run.curve:
            if point.get(key) is not None:
                points.setdefault(point["update"], []).append(point[key])
    return points


def new_figure(title: str, columns: int = 1, share: bool = True) -> tuple[Figure, Axes]:
    """A figure with a grid and without a box around it; its panels share their scale or not."""
    # Without pyplot: it needs no display and leaves no global state behind.
    figure = Figure(figsize=(7.5 if columns == 1 else 3.7 * max(columns, 3), 5.2), layout="constrained")
    axes = figure.subplots(1, columns, sharey=share)
    figure.suptitle(title, fontsize=11)
    for one in np.atleast_1d(axes):
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def logarithmic(axes: Axes) -> None:
    """A logarithmic scale whose ticks read as plain numbers."""
    axes.set_yscale("log")
    decades = np.log10(axes.get_ylim()[1] / axes.get_ylim()[0])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def add_legend(figure: Figure) -> None:
    """One legend for all panels, under them, in the order of the paper's rows."""
    entries = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    order = [text for text in [*LABELS.values(), *PEER_LABELS.values()] if text in entries]
    order += [text for text in entries if text not in order]
    columns = 2 if len(figure.axes) == 1 else 3
    figure.legend([entries[text] for text in order], order, loc="outside lower center", ncols=columns, fontsize=9)


def style_of(name: str, position: int) -> dict:
    """Colour and marker: fixed for the paper's rows, by position for other runs."""
    return STYLES.get(name, {"color": OTHERS[position % len(OTHERS)], "marker": "."})


def label(name: str) -> str:
    """What the legend calls a run."""
    return LABELS.get(name) or PEER_LABELS.get(name, name)
