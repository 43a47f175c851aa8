"""Checkpoints: whole files, and models out of them."""

import errno
import io
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch import nn

from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.kaldi.tokens import Tokens
from vqbn.runs.build import build_autoencoder, build_recognizer
from vqbn.tasks.images.model import ImageAutoencoder
from vqbn.tasks.recognition.model import Recognizer
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


@dataclass
class LoadedRecognizer:
    """A trained model and what it was trained as.

    Attributes:
        model: in evaluation mode, on the CPU.
        config: every key of its configuration.
        tokens: what it recognises.
        update: optimiser updates it has seen.
        averaged: whether the weights are the averaged ones.
        path: the checkpoint.
    """

    model: Recognizer
    config: dict[str, object]
    tokens: Tokens
    update: int
    averaged: bool
    path: Path


def read_checkpoint(path: str | Path, kind: str | None = "recognizer") -> dict[str, object]:
    """Read a training run's checkpoint into memory, executing nothing of it.

    Args:
        path: the file.
        kind: of the model, as its `Experiment` names it; None for any.

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


def load_recognizer(run_dir: str | Path, which: str = "best", averaged: bool = True) -> LoadedRecognizer:
    """The model of a training run.

    Args:
        run_dir: the run's folder, `exp/<name>_seed<N>`.
        which: `best` (lowest phone error rate on the development set) or `last`.
        averaged: the averaged weights, where the run kept them, rather than those of the last update.

    Raises:
        InputError: the checkpoint is missing, damaged, or does not fit the model that it names.
    """
    path = Path(run_dir) / "checkpoints" / f"{which}.ckpt"
    model, about, averaged = load_model(
        path,
        "recognizer",
        lambda about: build_recognizer(about["config"], len(about["tokens"]), about["height"]),
        averaged,
    )
    return LoadedRecognizer(model, about["config"], Tokens(about["tokens"]), about["update"], averaged, path)


@dataclass
class LoadedAutoencoder:
    """A trained autoencoder of images and what it was trained as.

    Attributes:
        model: in evaluation mode, on the CPU.
        config: every key of its configuration.
        height: of the images that it was trained on.
        width: of them.
        update: optimiser updates it has seen.
        averaged: whether the weights are the averaged ones.
        path: the checkpoint.
    """

    model: ImageAutoencoder
    config: dict[str, object]
    height: int
    width: int
    update: int
    averaged: bool
    path: Path


def load_autoencoder(path: str | Path, averaged: bool = True) -> LoadedAutoencoder:
    """The autoencoder of a checkpoint of `vqbn-train-images`.

    Args:
        path: the file.
        averaged: the averaged weights, where the run kept them, rather than those of the last update.

    Raises:
        InputError: the checkpoint is missing, damaged, or does not fit the model that it names.
    """
    path = Path(path)
    model, about, averaged = load_model(
        path, "image_autoencoder", lambda about: build_autoencoder(about["config"]), averaged
    )
    return LoadedAutoencoder(model, about["config"], about["height"], about["width"], about["update"], averaged, path)


def load_model(
    path: str | Path, kind: str, build: Callable[[Mapping[str, object]], nn.Module], averaged: bool = True
) -> tuple[nn.Module, dict[str, object], bool]:
    """The model of a checkpoint.

    Args:
        path: the checkpoint.
        kind: of the model, as its `Experiment` names it.
        build: makes the model from the checkpoint's description, which holds its `config` and `update`.
        averaged: take the averaged weights, where the run kept them, rather than those of the last update.

    Returns:
        The model, in evaluation mode on the CPU; its description; whether the weights are the averaged ones.

    Raises:
        InputError: the checkpoint is missing, damaged, or does not fit the model that it describes.
    """
    checkpoint = read_checkpoint(path, kind)
    about = checkpoint[kind]
    has_average = "current_model_state" in checkpoint
    state = checkpoint["state_dict"] if averaged or not has_average else checkpoint["current_model_state"]
    try:
        model = build(about)
        model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: does not fit the model that it describes ({first}); train it again") from error
    return model.eval(), about, averaged and has_average
