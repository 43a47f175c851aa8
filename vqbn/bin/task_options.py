"""What a command has to know before it knows its options: the task."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from vqbn.errors import InputError
from vqbn.runs.config import first_options, read_entries
from vqbn.runs.task import Task
from vqbn.tasks import find_task, task_names, task_of_run

HELP = "The other options are the task's: give --help beside --task, or beside {}."


def task_of_config(argv: Sequence[str], prog: str, description: str) -> Task:
    """The task that a configuration names: --task, or else the key `task` of the last file of --config that has it.

    With --help and no task the help says how to name one, and the command ends.

    Args:
        argv: arguments without the command's name.
        prog: the command's name.
        description: for that help.

    Raises:
        InputError: a file is malformed, there is no such task, or none is named.
    """
    first = first_options(argv)
    if first.task:
        return find_task(first.task)
    for path in reversed(first.config):
        if entry := read_entries(path).get("task"):
            return find_task(str(entry[0]), f"{path}:{entry[1]}: task")
    if first.help:
        options = argparse.ArgumentParser(
            prog, description=description, epilog=HELP.format("a --config that names a task")
        )
        options.add_argument("--config", action="append", metavar="FILE", help="a file of keys; repeatable")
        options.add_argument("--task", choices=task_names(), help="what is trained, where no file says it")
        options.parse_args(["--help"])
    raise InputError(f"task: not given; expected one of {', '.join(task_names())}, in a file of --config or as --task")


def task_of_command(argv: Sequence[str], prog: str, description: str) -> Task:
    """The task of the run that a command is about: --task, or else that of the folder --expdir.

    With neither, the help says how to name one, and the command ends.

    Args:
        argv: arguments without the command's name.
        prog: the command's name.
        description: for that help.

    Raises:
        InputError: there is no such task or run.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--expdir")
    first.add_argument("--task")
    try:
        args = first.parse_known_args(argv)[0]
    except argparse.ArgumentError as error:
        raise InputError(f"{error.argument_name}: {error.message}") from error
    if args.task:
        check_task(args.expdir, args.task)
        return find_task(args.task)
    if args.expdir:
        return task_of_run(args.expdir)
    options = argparse.ArgumentParser(prog, description=description, epilog=HELP.format("--expdir"))
    add_run_options(options)
    if {"-h", "--help"} & set(argv):
        options.parse_args(["--help"])
    options.error("--expdir is needed")


def check_task(expdir: str | None, task: str) -> None:
    """Raise InputError where a run's config.yaml names another task."""
    path = Path(expdir or "") / "config.yaml"
    entry = read_entries(path).get("task") if expdir and path.is_file() else None
    if entry and entry[0] != task:
        raise InputError(f"{path}:{entry[1]}: task: found {entry[0]!r}, but --task says {task!r}; leave --task out")


def add_run_options(options: argparse.ArgumentParser) -> None:
    """The run that a command is about."""
    options.add_argument("--expdir", required=True, help="the run's folder, such as exp/bn_reest_lr_seed1")
    options.add_argument(
        "--task", choices=task_names(), help="what was trained there (default: what its config.yaml says)"
    )
