"""What a trained autoencoder of lines hands its bottleneck."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.nets.compared import compared
from vqbn.runs.loaded import Loaded
from vqbn.tasks.handwriting.data import whole_lines

BATCH_COLUMNS = 4096


@torch.no_grad()
def latents(loaded: Loaded, folder: Path, device: str) -> Iterator[tuple[str, np.ndarray]]:
    """The vectors of a set of lines, a folder that stage 2 packed; as `Task.latents`.

    Raises:
        InputError: the lines have another number of grey levels than the model.
    """
    model = loaded.model.to(device)
    dataset = LineDataset(folder.absolute().parent, folder.name)
    if dataset.levels != loaded.about["levels"]:
        raise InputError(f"{folder}: {dataset.levels} grey levels; the model has {loaded.about['levels']}")
    for lines, batch in whole_lines(dataset, BATCH_COLUMNS):
        ink = model.decoder.ink(batch.pixels.to(device))
        encoded, lengths = model.encoder(ink, batch.lengths.to(device))
        names = (dataset.ids[line] for line in lines)
        yield from zip(names, compared(model.bottleneck, encoded, lengths), strict=True)
