"""The study of scales as a file, a picture and a table (the paper's Figure 1a)."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from vqbn.files import replacing
from vqbn.scoring.figures import logarithmic, new_figure
from vqbn.scoring.records import read_record, write_record
from vqbn.scoring.table import markdown_table

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
    """Error rate of the probe, and perplexity and codes used, against the scale at the start; means over seeds."""
    figure, panels = new_figure(f"Scale of codewords relative to encoder outputs, without BN\n{data}", 2, share=False)
    scales = sorted({point["scale"] for point in points})

    def mean(key: str) -> list[float]:
        values = [[point[key] for point in points if point["scale"] == scale] for scale in scales]
        return [sum(each) / len(each) for each in values]

    panels[0].plot(scales, mean("probe_error"), color="#0072B2", marker="o")
    panels[0].plot(
        [point["scale"] for point in points],
        [point["probe_error"] for point in points],
        color="#0072B2",
        marker=".",
        linestyle="",
        alpha=0.5,
    )
    panels[0].set_ylabel(f"{symbols} error rate of an index-only probe (%)")
    panels[1].plot(scales, mean("used_codes"), color="#D55E00", marker="s", label="codes used")
    panels[1].plot(scales, mean("perplexity"), color="#009E73", marker="^", label="perplexity")
    panels[1].set_ylim(bottom=0.9)
    logarithmic(panels[1])
    panels[1].legend(fontsize=9)
    for axes in panels:
        axes.set_xscale("log")
        axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
        axes.set_xlabel("norm of codewords / norm of encoder outputs, at the start")
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
            f"{point['task_score']:.{digits}f}",
            f"{point['used_codes']:,} of {point['codebook_size']:,}",
            f"{point['perplexity']:,.1f}",
            f"{point['codeword_norm_after'] / point['encoder_norm_after']:.3g}",
        ]
        for point in points
    ]
    header = ["scale at the start", "seed", "errors of the probe %", score, "codes used", "perplexity"]
    header.append("scale at the end")
    link = Path(os.path.relpath(picture, folder)).as_posix()
    return (
        "### Scale of codewords\n\nNorm of codewords over that of encoder outputs, without BN, after "
        f"{points[0]['updates']:,} updates; a probe reads {symbols} from code indices alone (the paper's Figure 1a)."
        "\n\n"
        f"{markdown_table(header, rows)}\n![Probe errors and codes used against the scale of codewords.]({link})\n"
    )
