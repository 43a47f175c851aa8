"""vqbn-report (stage 6): RESULTS.md and its figures from every run so far."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.runs.results import Result, read_results
from vqbn.runs.task import Runs, Task
from vqbn.tasks import find_task, task_names, task_of_results, task_of_run

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-report",
        description="Write the rows of the paper's table as far as they have been run, beside the paper's numbers, "
        "with intervals or spreads over seeds, figures, pictures, commands and commits.",
        allow_abbrev=False,
    )
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--results",
        nargs="+",
        metavar="DIR",
        help="folders with results files, or folders of such folders; each becomes a section, with a search from its "
        "tuning/, a study of scales from its scale/study.json, and figures in its figures/",
    )
    source.add_argument("--expdir", help="a folder with scored runs, <name>_seed<N>/, reported without results files")
    options.add_argument("--out", required=True, metavar="FILE", help="the report, such as RESULTS.md")
    options.add_argument("--data_label", default="", help="with --expdir: what the runs were trained on, in words")
    options.add_argument("--title", default="Results", help="the report's first line (default: Results)")
    options.add_argument(
        "--set",
        dest="set_name",
        help="the set that the tables are about (default: the first that was scored in each folder, for images test)",
    )
    options.add_argument("--task", choices=task_names(), help="what was trained (default: what the runs say)")
    return options


@command("vqbn-report")
def main(argv: list[str]) -> None:
    """Read the runs, draw the figures, write the report."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for matplotlib.
    from vqbn.reports.scale_figure import studies

    searches, scales = {}, {}
    if args.expdir:
        runs = scored_runs(args.expdir)
        task = find_task(args.task) if args.task else task_of_run(runs[0])
        sections = read_runs(runs, args.data_label, task)
    else:
        sections = read_folders(args.results)
        results = [result for each in sections.values() for result in each]
        task = task_of_results(results, " ".join(args.results), args.task)
        scales = studies(sections)
        tried = {folder: folder / "tuning" for folder in sections if (folder / "tuning").is_dir()}
        searches = {folder: results for folder, place in tried.items() if (results := read_results(place))}
    out = Path(args.out).absolute()
    write_text(out, task.report(Runs(sections, out.parent, args.title, args.set_name, searches, scales)))
    logger.info("wrote %s: %d runs", args.out, sum(map(len, sections.values())))


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


def scored_runs(expdir: str) -> list[Path]:
    """The folders of scored runs; those that are not scored yet are named and left out.

    Raises:
        InputError: the folder is not there or holds no scored run.
    """
    folder = Path(expdir)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected runs, <name>_seed<N>/")
    runs = [run for run in sorted(folder.glob("*_seed*")) if run.is_dir()]
    for run in runs:
        if not (run / "scores.json").exists():
            logger.warning("left out: %s: not scored yet", run)
    scored = [run for run in runs if (run / "scores.json").exists()]
    if not scored:
        raise InputError(f"{folder}: no scored runs (<name>_seed<N>/scores.json); score one first (stage 5)")
    return scored


def read_runs(runs: Sequence[Path], data_label: str, task: Task) -> dict[Path, list[Result]]:
    """The folder of scored runs and their results; their pictures go where the report's figures are.

    Args:
        runs: folders of scored runs, one or more, side by side.
        data_label: what they were trained on, in words; empty: the folder's name.
        task: what was trained.

    Raises:
        InputError: a file of a run is missing or malformed.
    """
    from vqbn.runs.pictures import keep_pictures
    from vqbn.runs.scored import finished_run

    folder = runs[0].parent
    for run in runs:
        keep_pictures(run, folder / "figures")
    return {folder: [finished_run(run, task, data_label or folder.absolute().name) for run in runs]}


if __name__ == "__main__":
    sys.exit(main())
