"""What a trained model hands its bottleneck, for data of its kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vqbn import VQBottleneck
from vqbn.errors import InputError
from vqbn.nets.deepspeech2 import valid_frames
from vqbn.runs.checkpoint import load_autoencoder, load_recognizer, read_checkpoint

BATCH_FRAMES, BATCH_COLUMNS, BATCH_IMAGES = 24000, 4096, 100


@dataclass(frozen=True)
class FrozenModel:
    """A model that isn't trained any more.

    Attributes:
        bottleneck: its own.
        update: optimiser updates it has seen.
        latents: the folder or file of a set → its items' names and vectors, float32 (n, D): those that are compared
            with codewords, or for a model without codewords the projection.
    """

    bottleneck: nn.Module
    update: int
    latents: Callable[[Path], Iterator[tuple[str, np.ndarray]]]


def load_frozen(checkpoint: str | Path, averaged: bool = True, device: str = "cpu") -> FrozenModel:
    """Load any model that the package's commands train.

    Args:
        checkpoint: a .ckpt file of vqbn-train, vqbn-train-images or vqbn-train-handwriting.
        averaged: the averaged weights, where the run kept them.
        device: where it runs.

    Raises:
        InputError: the checkpoint is missing, damaged, or of no such model.
    """
    path = Path(checkpoint).absolute()
    contents = read_checkpoint(path, None)
    for kind, load in LOADERS.items():
        if kind in contents:
            return load(path, averaged, device)
    raise InputError(f"{path}: a checkpoint of no model that vqbn trains; expected one of vqbn-train or its like")


def _recognizer(path: Path, averaged: bool, device: str) -> FrozenModel:
    from vqbn.kaldi.speech import open_set
    from vqbn.kaldi.tokens import Tokens
    from vqbn.tasks.recognition.data import whole_utterances

    # An absolute path replaces the folder that it is joined to.
    loaded = load_recognizer("", str(path.with_suffix("")), averaged)
    model = loaded.model.to(device)

    @torch.no_grad()
    def latents(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
        dump = folder.absolute().parent
        tokens = Tokens.read(dump / "tokens.txt")
        dataset = open_set(dump, folder.name, tokens, loaded.config.get("cmvn", "global"))
        for names, batch in whole_utterances(dataset, BATCH_FRAMES):
            encoded, lengths = model.encoder(batch.features.to(device), batch.lengths.to(device))
            yield from zip(names, compared(model.bottleneck, encoded, lengths), strict=True)

    return FrozenModel(model.bottleneck, loaded.update, latents)


def _images(path: Path, averaged: bool, device: str) -> FrozenModel:
    from vqbn.corpora.packed_images import as_batch, read_packed

    loaded = load_autoencoder(path, averaged)
    model = loaded.model.to(device)

    @torch.no_grad()
    def latents(file: Path) -> Iterator[tuple[str, np.ndarray]]:
        images = read_packed(file.parent, file.name.removesuffix(".npy"))
        for first in range(0, len(images), BATCH_IMAGES):
            encoded = model.encode(as_batch(images[first : first + BATCH_IMAGES]).to(device))
            for number, vectors in enumerate(compared(model.bottleneck, encoded.flatten(1, 2)), first):
                yield f"image {number}", vectors

    return FrozenModel(model.bottleneck, loaded.update, latents)


def _lines(path: Path, averaged: bool, device: str) -> FrozenModel:
    from vqbn.corpora.packed_lines import LineDataset
    from vqbn.tasks.handwriting.checkpoint import load_line_autoencoder
    from vqbn.tasks.handwriting.data import whole_lines

    loaded = load_line_autoencoder("", str(path.with_suffix("")), averaged)
    model = loaded.model.to(device)

    @torch.no_grad()
    def latents(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
        dataset = LineDataset(folder.absolute().parent, folder.name)
        if dataset.levels != loaded.levels:
            raise InputError(f"{folder}: {dataset.levels} grey levels; the model has {loaded.levels}")
        for lines, batch in whole_lines(dataset, BATCH_COLUMNS):
            ink = model.decoder.ink(batch.pixels.to(device))
            encoded, lengths = model.encoder(ink, batch.lengths.to(device))
            names = (dataset.ids[line] for line in lines)
            yield from zip(names, compared(model.bottleneck, encoded, lengths), strict=True)

    return FrozenModel(model.bottleneck, loaded.update, latents)


# By the name under which a checkpoint describes its model.
LOADERS = {"recognizer": _recognizer, "image_autoencoder": _images, "line_autoencoder": _lines}


@torch.no_grad()
def compared(bottleneck: nn.Module, encoded: Tensor, lengths: Tensor | None = None) -> list[np.ndarray]:
    """The vectors that a bottleneck compares with its codewords, or would if it had any.

    Args:
        bottleneck: in evaluation mode.
        encoded: (batch, time, input_dim).
        lengths: (batch,) int64 valid positions; None: all.

    Returns:
        Per sequence, float32 (length, code_dim).
    """
    batch, time = encoded.shape[:2]
    if isinstance(bottleneck, VQBottleneck):
        vectors = bottleneck.latents(encoded, lengths=lengths).flatten(1)
    else:
        mask = None if lengths is None else valid_frames(lengths, time)
        vectors = bottleneck.projection(encoded if mask is None else encoded[mask]).flatten(0, -2)
    sizes = [time] * batch if lengths is None else lengths.tolist()
    return [part.cpu().numpy() for part in vectors.split(sizes)]
