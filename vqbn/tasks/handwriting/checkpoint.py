"""Autoencoders of handwriting out of checkpoints."""

from dataclasses import dataclass
from pathlib import Path

from vqbn.runs.checkpoint import load_model
from vqbn.tasks.handwriting.model import LineAutoencoder
from vqbn.tasks.handwriting.training import HandwritingTraining, build_line_autoencoder


@dataclass
class LoadedLineAutoencoder:
    """A trained model and what it was trained as.

    Attributes:
        model: in evaluation mode, on the CPU.
        config: every key of its configuration.
        levels: grey levels.
        update: optimiser updates it has seen.
        averaged: whether the weights are the averaged ones.
        path: the checkpoint.
    """

    model: LineAutoencoder
    config: dict[str, object]
    levels: int
    update: int
    averaged: bool
    path: Path


def load_line_autoencoder(run_dir: str | Path, which: str = "best", averaged: bool = True) -> LoadedLineAutoencoder:
    """The model of a training run.

    Args:
        run_dir: the run's folder, `exp/<name>_seed<N>`.
        which: `best` (lowest bits per pixel on the development set) or `last`.
        averaged: the averaged weights, where the run kept them, rather than those of the last update.

    Raises:
        InputError: the checkpoint is missing, damaged, or does not fit the model that it names.
    """
    path = Path(run_dir) / "checkpoints" / f"{which}.ckpt"
    model, about, averaged = load_model(
        path,
        HandwritingTraining.kind,
        lambda about: build_line_autoencoder(about["config"], about["height"], about["levels"]),
        averaged,
    )
    return LoadedLineAutoencoder(model, about["config"], about["levels"], about["update"], averaged, path)
