"""What a trained autoencoder of images hands its bottleneck."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from vqbn.corpora.packed_images import read_packed
from vqbn.nets.compared import compared
from vqbn.runs.loaded import Loaded
from vqbn.tasks.images.data import as_batch

BATCH_IMAGES = 100


@torch.no_grad()
def latents(loaded: Loaded, file: Path, device: str) -> Iterator[tuple[str, np.ndarray]]:
    """The vectors of a set of packed images, such as train.npy; as `Task.latents`."""
    model = loaded.model.to(device)
    images = read_packed(file.parent, file.name.removesuffix(".npy"))
    for first in range(0, len(images), BATCH_IMAGES):
        encoded = model.encode(as_batch(images[first : first + BATCH_IMAGES]).to(device))
        for number, vectors in enumerate(compared(model.bottleneck, encoded.flatten(1, 2)), first):
            yield f"image {number}", vectors
