"""vqbn-reconstruct: the images of a file of codes."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-reconstruct",
        description="Make images of the codes in an .npz file of vqbn-encode, or of a decoded set of images.",
        allow_abbrev=False,
    )
    options.add_argument("codes", help="the file of codes, such as codes.npz")
    options.add_argument("images", help="the folder to write PNG images into; images of the same names are replaced")
    options.add_argument(
        "--checkpoint", help="the model's .ckpt file (default: the one that made the codes, where it was then)"
    )
    options.add_argument(
        "--mode", action="store_true", help="the most likely level of each value, rather than the mean of all"
    )
    return options


@command("vqbn-reconstruct")
def main(argv: list[str]) -> None:
    """Read codes and model, check that they belong together, write images."""
    args = parser().parse_args(argv)
    # Imported here: --help and a wrong option need not wait for torch.
    from vqbn.runs.checkpoint import load
    from vqbn.tasks.images.codes import fingerprint, read_codes
    from vqbn.tasks.images.folder import write_folder
    from vqbn.tasks.images.pictures import decode_images
    from vqbn.tasks.images.task import IMAGES

    codes = read_codes(args.codes)
    path = Path(args.checkpoint or codes.checkpoint)
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; --checkpoint names the model that made {args.codes}")
    found = [load(path, IMAGES, averaged) for averaged in (True, False)]
    fitting = [loaded for loaded in found if fingerprint(loaded.model) == codes.fingerprint]
    if not fitting:
        raise InputError(
            f"{path}: not the model that made {args.codes}: its weights' fingerprint is {fingerprint(found[0].model)}, "
            f"expected {codes.fingerprint}; --checkpoint names the one that did"
        )
    write_folder(args.images, codes.names, decode_images(fitting[0].model, codes.indices, args.mode))
    logger.info("%s: %d images", args.images, len(codes.names))


if __name__ == "__main__":
    sys.exit(main())
