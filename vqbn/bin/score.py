"""vqbn-score (stage 5): the scores of what vqbn-decode wrote."""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vqbn.bin.command import command
from vqbn.bin.task_options import add_run_options, task_of_command
from vqbn.files import locked
from vqbn.runs.task import Row, Task

# The scores need torch, which --help and a wrong option need not wait for.
if TYPE_CHECKING:
    from vqbn.metrics.evaluation import Evaluation

logger = logging.getLogger(__name__)

DESCRIPTION = """Score decoded sets of a run: writes scores.json in --expdir and prints it. With --results it also keeps
the run as a results file, with its pictures."""


def parser(task: Task) -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser("vqbn-score", description=DESCRIPTION, allow_abbrev=False)
    add_run_options(options)
    options.add_argument(
        "--set",
        dest="sets",
        action="append",
        metavar="SET",
        help=f"a decoded set; may be given several times (default: {task.default_set})",
    )
    options.add_argument("--results", metavar="DIR", help="the folder that keeps finished runs, such as results/<data>")
    options.add_argument("--data_label", default="", help="what the run was trained and scored on, in words")
    options.add_argument("--command", default="", help="the command line that trained the run, for the report")
    task.add_score_options(options)
    return options


@command("vqbn-score")
def main(argv: list[str]) -> None:
    """Score, print, and keep."""
    task = task_of_command(argv, "vqbn-score", DESCRIPTION)
    args = parser(task).parse_args(argv)
    args.sets = args.sets or [task.default_set]
    with locked(Path(args.expdir) / "scores.json", beside=True):
        score(args, task)


def score(args: argparse.Namespace, task: Task) -> None:
    """Score the decoded sets of one run."""
    evaluations = task.score(args)
    # Imported here: --help and a wrong option need not wait for them.
    from vqbn.runs.pictures import keep_first_pictures
    from vqbn.runs.results import write_result
    from vqbn.runs.scored import finished_run, write_scores

    write_scores(args.expdir, evaluations, args.command)
    print_scores(Path(args.expdir).absolute().name, evaluations, task.score_rows)
    logger.info("wrote %s", Path(args.expdir) / "scores.json")
    if args.results:
        label = args.data_label or Path(args.results).absolute().name
        result = finished_run(args.expdir, task, label, args.command)
        logger.info("wrote %s", write_result(args.results, result))
        keep_first_pictures(args.expdir, Path(args.results) / "figures", result.name, result.seed)


def print_scores(title: str, evaluations: Mapping[str, "Evaluation"], rows: Mapping[str, Row]) -> None:
    """Print a table, one column per set, of the scores that apply."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column("")
    for set_name in evaluations:
        table.add_column(set_name, justify="right")
    for key, row in rows.items():
        if any(key in evaluation.scores for evaluation in evaluations.values()):
            values = (evaluation.scores.get(key) for evaluation in evaluations.values())
            table.add_row(
                row.name, *("–" if value is None else f"{row.scale * value:,.{row.digits}f}" for value in values)
            )
    Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
