"""The codes of a folder of pictures, and pictures of codes."""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from vqbn.errors import InputError
from vqbn.runs.loaded import Loaded
from vqbn.tasks.images.codes import ImageCodes, fingerprint, write_codes
from vqbn.tasks.images.data import as_batch
from vqbn.tasks.images.folder import read_folder

logger = logging.getLogger(__name__)


@torch.no_grad()
def encode_folder(loaded: Loaded, args: argparse.Namespace) -> None:
    """Write the codes of the PNG images in the folder `args.data` into the file `args.codes`; as `Task.encode`.

    Raises:
        InputError: too many images are unusable, or the model quantises nothing yet.
    """
    names, images = read_folder(args.data, loaded.about["height"], loaded.about["width"], args.max_bad)
    parts = []
    for first in range(0, len(images), args.batch_size):
        parts.append(loaded.model.code(as_batch(images[first : first + args.batch_size])).int().numpy())
    indices = np.concatenate(parts)
    if (indices < 0).any():
        raise InputError(f"{args.checkpoint}: from before the first clustering: nothing is quantised; train on")
    size = loaded.model.bottleneck.codebook_size
    path = str(Path(args.checkpoint).absolute())
    write_codes(args.codes, ImageCodes(names, indices, size, path, fingerprint(loaded.model)))
    bits = indices[0].size * np.log2(size)
    logger.info("%s: %d images, %d codes and %.0f bits each", args.codes, len(names), indices[0].size, bits)
