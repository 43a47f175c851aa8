"""vqbn-report (stage 6): RESULTS.md and its figures from every run so far."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.runs.results import Result, read_results

logger = logging.getLogger(__name__)


def report_parser(name: str, description: str, folder: str) -> argparse.ArgumentParser:
    """What every recipe's report command can be told.

    Args:
        name: of the command.
        description: what the report holds.
        folder: what belongs to a section besides its results files, and where in their folder it is.
    """
    options = argparse.ArgumentParser(name, description=description, allow_abbrev=False)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--results",
        nargs="+",
        metavar="DIR",
        help=f"folders with results files, or folders of such folders; each becomes a section, with {folder}",
    )
    source.add_argument("--expdir", help="a folder with scored runs, <name>_seed<N>/, reported without results files")
    options.add_argument("--out", required=True, metavar="FILE", help="the report, such as RESULTS.md")
    options.add_argument("--data_label", default="", help="with --expdir: what the runs were trained on, in words")
    options.add_argument("--title", default="Results", help="the report's first line (default: Results)")
    return options


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = report_parser(
        "vqbn-report",
        "Write the seven rows of the paper's Table I as far as they have been run, beside the paper's numbers, with "
        "intervals, figures, commands and commits.",
        "a search from its tuning/, a study of scales from its scale/study.json, and figures in its figures/",
    )
    options.add_argument(
        "--set",
        dest="set_name",
        help="the set that the tables are about (default: the first that was scored, in each folder)",
    )
    return options


@command("vqbn-report")
def main(argv: list[str]) -> None:
    """Read the runs, draw the figures, write the report."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for matplotlib.
    from vqbn.bin.score import finished_run
    from vqbn.reports.figures import draw_figures
    from vqbn.reports.scale_figure import studies
    from vqbn.tasks.recognition.report import reported_set, write_up

    folders = read_runs(args.expdir, args.data_label, finished_run) if args.expdir else read_folders(args.results)
    studied = studies(folders if args.results else ())
    sections, figures, tuning, scales = {}, {}, {}, {}
    for folder, results in folders.items():
        heading = "; ".join(dict.fromkeys(result.data for result in results))
        # Two folders may describe their data in the same words.
        heading = f"{heading} ({folder.name})" if heading in sections else heading
        sections[heading] = results
        figures[heading] = draw_figures(results, folder / "figures", heading, args.set_name or reported_set(results))
        if tried := args.results and (folder / "tuning").is_dir() and read_results(folder / "tuning"):
            tuning[heading] = tried
        if folder in studied:
            scales[heading] = studied[folder]
    out = Path(args.out).absolute()
    write_text(out, write_up(sections, figures, out.parent, args.set_name, args.title, tuning, scales))
    count = sum(map(len, sections.values()))
    drawn = ", ".join(str(path) for files in figures.values() for path in files.values())
    logger.info("wrote %s: %d runs%s", args.out, count, f"; {drawn}" if drawn else "")


def read_folders(given: Sequence[str]) -> dict[Path, list[Result]]:
    """Each folder with results files, given or one level below a given one, and its results.

    Raises:
        InputError: a folder is not there, there is no results file, or one is malformed.
    """
    found: dict[Path, list[Result]] = {}
    for name in given:
        folder = Path(name)
        if results := read_results(folder):
            found[folder] = results
            continue
        below = {path: read_results(path) for path in sorted(folder.iterdir()) if path.is_dir()}
        found |= {path: results for path, results in below.items() if results}
    if not found:
        raise InputError(
            f"{' '.join(given)}: no results files (<name>_seed<N>.json) here or one folder below; "
            "score a run with --results first (stage 5)"
        )
    return found


def read_runs(expdir: str, data_label: str, finished_run: Callable[[Path, str], Result]) -> dict[Path, list[Result]]:
    """The folder with its scored runs; those that are not scored yet are named and left out.

    Args:
        expdir: the folder.
        data_label: what the runs were trained on, in words; empty: the folder's name.
        finished_run: makes a result of a run's folder and the label.

    Raises:
        InputError: the folder is not there or holds no scored run.
    """
    folder = Path(expdir)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected runs, <name>_seed<N>/")
    label = data_label or folder.absolute().name
    results = []
    for run in sorted(folder.glob("*_seed*")):
        if (run / "scores.json").exists():
            results.append(finished_run(run, label))
        elif run.is_dir():
            logger.warning("left out: %s: not scored yet", run)
    if not results:
        raise InputError(f"{folder}: no scored runs (<name>_seed<N>/scores.json); score one first (stage 5)")
    return {folder: results}


def with_pictures(finished_run: Callable[[Path, str], Result]) -> Callable[[Path, str], Result]:
    """For `read_runs`: a run's pictures go where its report's figures are."""
    from vqbn.runs.pictures import keep_pictures

    def collect(run: Path, data: str) -> Result:
        keep_pictures(run, run.parent / "figures")
        return finished_run(run, data)

    return collect


if __name__ == "__main__":
    sys.exit(main())
