"""vqbn-encode: the codes of a folder of images."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.bin.decode import positive
from vqbn.errors import InputError

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-encode",
        description="Take the PNG images of a folder through a trained image autoencoder, and write the codes of all "
        "of them into one file. vqbn-decode makes images of that file again.",
        allow_abbrev=False,
    )
    options.add_argument("--checkpoint", required=True, help="a .ckpt file of vqbn-train-images")
    options.add_argument("images", help="a folder of PNG images, of the size that the model was trained on (32x32)")
    options.add_argument("codes", help="the file to write, such as codes.npz")
    options.add_argument("--batch_size", type=positive, default=100, help="images per batch (default: 100)")
    options.add_argument("--max_bad", type=float, default=0.05, help="share of images that may be unusable")
    return options


@command("vqbn-encode")
def main(argv: list[str]) -> None:
    """Read, encode, write."""
    args = parser().parse_args(argv)
    if Path(args.codes).suffix != ".npz":
        raise InputError(f"{args.codes}: found another ending, expected a file to write that ends in .npz")
    # Imported here: --help and a wrong option need not wait for torch.
    import numpy as np
    import torch

    from vqbn.corpora.packed_images import as_batch
    from vqbn.runs.checkpoint import load_autoencoder
    from vqbn.tasks.images.codes import ImageCodes, fingerprint, write_codes
    from vqbn.tasks.images.folder import read_folder

    loaded = load_autoencoder(args.checkpoint)
    names, images = read_folder(args.images, loaded.height, loaded.width, args.max_bad)
    parts = []
    with torch.no_grad():
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


if __name__ == "__main__":
    sys.exit(main())
