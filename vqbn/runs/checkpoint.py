"""Checkpoints: whole files, and models out of them."""

import errno
import io
import os
import shutil
from pathlib import Path

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.runs.loaded import Loaded
from vqbn.runs.task import Task
from vqbn.version import __version__

# What a checkpoint holds under `vqbn_format`: raised when one is written that earlier versions would misread. Those
# from before it was introduced, which hold none, are read as format 1.
FORMAT = 1


class WholeFileIO(TorchCheckpointIO):
    """Lightning's saving, through a temporary file beside the target: a checkpoint is whole or not there."""

    def save_checkpoint(self, checkpoint: dict[str, object], path: str | Path, storage_options=None) -> None:
        # By way of memory: torch.save itself reports a full disk without saying so.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(buffer.getbuffer())


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`; a copy where the file system has no links."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            shutil.copyfile(source, temporary)


def checkpoint_path(expdir: str | Path, which: str) -> Path:
    """Where a checkpoint is: `best` or `last` of a run's folder, or a file anywhere.

    Raises:
        InputError: it is none of these.
    """
    if which in ("best", "last"):
        return Path(expdir) / "checkpoints" / f"{which}.ckpt"
    if Path(which).suffix != ".ckpt":
        raise InputError(f"--checkpoint: found {which!r}, expected best, last or a file that ends in .ckpt")
    return Path(which)


def read_checkpoint(path: str | Path, kind: str | None = None) -> dict[str, object]:
    """Read a training run's checkpoint into memory, executing nothing of it.

    Args:
        path: the file.
        kind: of the model, as its `Task` names it; None for any.

    Raises:
        InputError: it is missing, damaged, of a newer format, or a checkpoint of something else.
    """
    path = Path(path)
    try:
        contents = io.BytesIO(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such checkpoint; train the model first (stage 3)") from error
    try:
        checkpoint = torch.load(contents, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises for damaged data is not specified
        first = str(error).strip().split("\n")[0][:120]
        raise InputError(f"{path}: damaged, or not a checkpoint ({first}); remove it and train again") from error
    written = checkpoint.get("vqbn_format", 1) if isinstance(checkpoint, dict) else 1
    if written > FORMAT:
        raise InputError(
            f"{path}: format {written}, written by vqbn {checkpoint.get('vqbn_version')}; this is vqbn {__version__}, "
            f"which reads formats up to {FORMAT}: update vqbn"
        )
    if not isinstance(checkpoint, dict) or (kind is not None and not isinstance(checkpoint.get(kind), dict)):
        raise InputError(
            f"{path}: a checkpoint of another kind of model; expected that of a {(kind or 'model').replace('_', ' ')}"
        )
    return checkpoint


def load(path: str | Path, task: Task, averaged: bool = True) -> Loaded:
    """The model of a checkpoint.

    Args:
        path: the checkpoint.
        task: what was trained.
        averaged: take the averaged weights, where the run kept them, rather than those of the last update.

    Raises:
        InputError: the checkpoint is missing, damaged, or does not fit the model that it describes.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path, task.kind)
    about = checkpoint[task.kind]
    has_average = "current_model_state" in checkpoint
    state = checkpoint["state_dict"] if averaged or not has_average else checkpoint["current_model_state"]
    try:
        model = task.build(about)
        model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: does not fit the model that it describes ({first}); train it again") from error
    return Loaded(model.eval(), about, averaged and has_average, path)


def load_run(task: Task, expdir: str | Path, which: str = "best", averaged: bool = True) -> Loaded:
    """The model of a training run: arguments and errors as those of `checkpoint_path` and `load`."""
    return load(checkpoint_path(expdir, which), task, averaged)
