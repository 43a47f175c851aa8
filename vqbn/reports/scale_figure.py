"""The study of scales as a file, a picture and a table (the paper's Figure 1a)."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vqbn.files import replacing
from vqbn.reports.figures import logarithmic, new_figure
from vqbn.reports.table import markdown_table
from vqbn.runs.records import read_record, write_record

FORMAT = "vqbn scale study 1"


def write_study(path: str | Path, points: Sequence[dict], data: str) -> None:
    """Write points, sorted by scale and seed.

    Args:
        path: a JSON file.
        points: objects with `scale`, `seed`, `probe_error`, `used_codes`, `perplexity` and what else is known.
        data: what they were measured on, in words.

    Raises:
        OSError: the file can't be written.
    """
    order = sorted(points, key=lambda point: (point["scale"], point["seed"]))
    write_record(path, {"format": FORMAT, "data": data, "points": order})


def read_study(path: str | Path) -> list[dict]:
    """The points of a file that `write_study` wrote; none where there is no such file.

    Raises:
        InputError: it is something else.
    """
    if not Path(path).exists():
        return []
    expected = {"format": str, "data": str, "points": list}
    return read_record(path, expected, "remove it, and run vqbn-scale-study again")["points"]


def studies(folders: Iterable[Path]) -> dict[Path, tuple[list[dict], Path]]:
    """Folder with results → the points of the study that it keeps in `scale/study.json`, and their picture.

    Raises:
        InputError: such a file is something else.
    """
    files = {folder: folder / "scale/study.json" for folder in folders}
    return {
        folder: (points, file.with_suffix(".png")) for folder, file in files.items() if (points := read_study(file))
    }


def draw_study(points: Sequence[dict], data: str, symbols: str = "phone") -> Figure:
    """Errors and loss of the probe, perplexity and codes used, against the scale at the start; means over seeds.

    The loss is left out where a point has none.
    """
    lossy = all(point.get("probe_loss") is not None for point in points)
    title = f"Scale of codewords relative to encoder outputs, without BN\n{data}"
    figure, panels = new_figure(title, 2 + lossy, share=False)
    scales = sorted({point["scale"] for point in points})

    def mean(key: str) -> list[float]:
        values = [[point[key] for point in points if point["scale"] == scale] for scale in scales]
        return [sum(each) / len(each) for each in values]

    def draw(axes: Axes, key: str, label: str) -> None:
        axes.plot(scales, mean(key), color="#0072B2", marker="o")
        dots = [point["scale"] for point in points], [point[key] for point in points]
        axes.plot(*dots, color="#0072B2", marker=".", linestyle="", alpha=0.5)
        axes.set_ylabel(label)

    draw(panels[0], "probe_error", f"{symbols} error rate of an index-only probe (%)")
    if lossy:
        draw(panels[1], "probe_loss", f"CTC loss of the probe (nats per {symbols})")
    usage = panels[-1]
    usage.plot(scales, mean("used_codes"), color="#D55E00", marker="s", label="codes used")
    usage.plot(scales, mean("perplexity"), color="#009E73", marker="^", label="perplexity")
    usage.set_ylim(bottom=0.9)
    logarithmic(usage)
    usage.legend(fontsize=9)
    for axes in panels:
        axes.set_xscale("log")
        axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
    figure.supxlabel("norm of codewords / norm of encoder outputs, at the start", fontsize=10)
    return figure


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def scale_table(
    points: Sequence[dict],
    picture: Path,
    folder: Path,
    symbols: str = "phones",
    score: str = "PER in training %",
    digits: int = 1,
) -> str:
    """A section of a report: one line per point, and the picture.

    Args:
        points: as `read_study` gives them, at least one.
        picture: the picture's file.
        folder: the folder that the report will lie in, which links start from.
        symbols: what the probe reads.
        score: what the points' `task_score` is.
        digits: decimals of it.
    """
    rows = [
        [
            f"{point['scale']:g}",
            str(point["seed"]),
            f"{point['probe_error']:.1f}",
            "–" if point.get("probe_loss") is None else f"{point['probe_loss']:.3f}",
            f"{point['task_score']:.{digits}f}",
            f"{point['used_codes']:,} of {point['codebook_size']:,}",
            f"{point['perplexity']:,.1f}",
            f"{point['codeword_norm_after'] / point['encoder_norm_after']:.3g}",
        ]
        for point in points
    ]
    header = ["scale at the start", "seed", "errors of the probe %", "its loss in nats", score]
    header += ["codes used", "perplexity", "scale at the end"]
    link = Path(os.path.relpath(picture, folder)).as_posix()
    return (
        "### Scale of codewords\n\nNorm of codewords over that of encoder outputs, without BN, after "
        f"{points[0]['updates']:,} updates; a probe reads {symbols} from code indices alone (the paper's Figure 1a): "
        f"its errors, and its CTC loss per symbol, which tells codes apart where all readings are blanks.\n\n"
        f"{markdown_table(header, rows)}\n![Probe errors and codes used against the scale of codewords.]({link})\n"
    )
