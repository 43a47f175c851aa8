"""vqbn-encode: the codes of a folder of images."""

import argparse
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.runs.options import positive
from vqbn.tasks import task_of_checkpoint


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-encode",
        description="Take the PNG images of a folder through a trained image autoencoder, and write the codes of all "
        "of them into one file. vqbn-reconstruct makes images of that file again.",
        allow_abbrev=False,
    )
    options.add_argument("--checkpoint", required=True, help="a .ckpt file of vqbn-train")
    options.add_argument(
        "data", metavar="images", help="a folder of PNG images, of the size that the model was trained on (32x32)"
    )
    options.add_argument("codes", help="the file to write, such as codes.npz")
    options.add_argument("--batch_size", type=positive, default=100, help="images per batch (default: 100)")
    options.add_argument("--max_bad", type=float, default=0.05, help="share of images that may be unusable")
    return options


@command("vqbn-encode")
def main(argv: list[str]) -> None:
    """Load the model, encode, write."""
    args = parser().parse_args(argv)
    if Path(args.codes).suffix != ".npz":
        raise InputError(f"{args.codes}: found another ending, expected a file to write that ends in .npz")
    # Imported here: --help and a wrong option need not wait for torch.
    from vqbn.runs.checkpoint import load

    task = task_of_checkpoint(args.checkpoint)
    task.encode(load(args.checkpoint, task), args)


if __name__ == "__main__":
    sys.exit(main())
