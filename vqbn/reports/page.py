"""Parts of RESULTS.md that every task's report has."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vqbn.reports.table import markdown_table
from vqbn.runs.results import Result


def picture(file: Path, folder: Path, caption: str) -> str:
    """A picture with its caption.

    Args:
        file: the picture.
        folder: the one that the report will lie in, which the link starts from.
        caption: what is to be seen.
    """
    return f"![{caption}]({Path(os.path.relpath(file, folder)).as_posix()})\n\n*{caption}*\n"


def every_run(
    runs: Iterable[Result], columns: Sequence[str], cells: Callable[[Result], Iterable[Sequence[str]]], left: int = 1
) -> str:
    """A line or more per run: what it scored and where it comes from; then the commands that trained them.

    Args:
        runs: one or more.
        columns: names of the task's own columns.
        cells: their texts, for each line of a run.
        left: how many columns are aligned to the left.
    """
    header = ["run", "seed", *columns, "update", "commit", "configuration"]
    rows, commands = [], []
    for run in runs:
        origin = [f"{run.update:,} ({run.checkpoint})", f"`{run.commit[:10]}`", f"`{run.config_hash}`"]
        rows += [[f"`{run.name}`", str(run.seed), *line, *origin] for line in cells(run)]
        commands.append(f"# {run.name}, seed {run.seed}\n{run.command}\n")
    return markdown_table(header, rows, left) + "\n```sh\n" + "".join(commands) + "```\n"
