"""The tasks that there are: a line each, and a folder each."""

import importlib
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from vqbn.errors import InputError

if TYPE_CHECKING:
    from vqbn.runs.results import Result
    from vqbn.runs.task import Task

# Name → module and object.
TASKS = {
    "recognition": "vqbn.tasks.recognition.task:RECOGNITION",
    "handwriting": "vqbn.tasks.handwriting.task:HANDWRITING",
    "images": "vqbn.tasks.images.task:IMAGES",
}
# Other installed packages add tasks of theirs as entry points of this group, with such values.
GROUP = "vqbn.tasks"


def task_names() -> list[str]:
    """The tasks that there are, ours first."""
    return list(dict.fromkeys([*TASKS, *(point.name for point in entry_points(group=GROUP))]))


def find_task(name: str, source: str = "--task") -> "Task":
    """The task of a name.

    Args:
        name: as configurations give it.
        source: where the name stands, for the message.

    Raises:
        InputError: there is no such task.
    """
    if name in TASKS:
        module, _, attribute = TASKS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _load(point)
    raise InputError(f"{source}: found {name!r}, expected one of {', '.join(task_names())}")


def _load(point: EntryPoint) -> "Task":
    """The task that another package brings.

    Raises:
        InputError: it can't be imported, or is no task.
    """
    from vqbn.runs.task import Task

    package = point.dist.name if point.dist else "a package"
    where = f"the entry point {point.name!r} ({point.value}) of {package}, group {GROUP}"
    try:
        task = point.load()
    except Exception as error:  # whatever the package's own code raises
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{where}: can't be loaded ({reason}); mend or remove that package") from error
    if not isinstance(task, Task):
        raise InputError(f"{where}: found {type(task).__name__}, expected a vqbn.runs.task.Task")
    return task


def task_of_checkpoint(path: str | Path) -> "Task":
    """The task whose model a checkpoint holds.

    Raises:
        InputError: the checkpoint is missing, damaged, or of no such task.
    """
    from vqbn.runs.checkpoint import read_checkpoint

    contents = read_checkpoint(path)
    for name in task_names():
        task = find_task(name)
        if task.kind in contents:
            return task
    raise InputError(f"{path}: a checkpoint of no task that there is: {', '.join(task_names())}")


def task_of_run(expdir: str | Path) -> "Task":
    """The task of a run's folder: as its config.yaml says, or for one from before there were tasks its checkpoint.

    Raises:
        InputError: the folder holds no run.
    """
    from vqbn.runs.config import read_entries

    path = Path(expdir) / "config.yaml"
    if path.exists() and (entry := read_entries(path).get("task")):
        return find_task(str(entry[0]), f"{path}:{entry[1]}: task")
    checkpoints = Path(expdir) / "checkpoints"
    last = checkpoints / "last.ckpt"
    return task_of_checkpoint(last if last.exists() else checkpoints / "best.ckpt")


def task_of_results(results: "Sequence[Result]", source: str, given: str | None = None) -> "Task":
    """The task that results are of; those from before there were tasks, and ESPnet's, are told by their keys.

    Args:
        results: one or more.
        source: where they are from, for messages.
        given: the task's name, where somebody said it.

    Raises:
        InputError: they are of several tasks, of another than `given`, or can't be told.
    """
    found = set(filter(None, map(_task_name, results)))
    if given:
        if others := found - {given}:
            raise InputError(f"{source}: has results of {', '.join(sorted(others))}, which --task {given} can't report")
        return find_task(given)
    if len(found) > 1:
        raise InputError(f"{source}: results of several tasks ({', '.join(sorted(found))}); report them apart")
    if not found:
        raise InputError(f"{source}: the results don't say their task; give --task, one of {', '.join(task_names())}")
    return find_task(found.pop(), f"{source}: key 'task' of a results file")


def load_model(folder: str | Path) -> object:
    """A model out of a folder of vqbn-export, ready for recordings, scans or pictures; executes nothing in it.

    Args:
        folder: holds config.json and model.safetensors.

    Returns:
        Of a recogniser a `tasks.recognition.use.SpeechModel`, of handwriting a `LineModel`, of images an `ImageModel`.

    Raises:
        InputError: the folder is damaged, foreign, of a newer version, or of a task that is not installed.
    """
    from vqbn.runs.model_folder import read_model_folder

    found = read_model_folder(folder)
    return find_task(found.about["task"], f"{found.path / 'config.json'}: task").load(found)


def _task_name(result: "Result") -> str | None:
    if result.task:
        return result.task
    fitting = [name for name in TASKS if result.config.keys() <= {key.name for key in find_task(name).keys}]
    return fitting[0] if len(fitting) == 1 else None
