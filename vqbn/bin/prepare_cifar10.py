"""Prepare CIFAR-10, or a mini image corpus (stage 0)."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.files import locked

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-prepare-cifar10",
        description="Check CIFAR-10 (the size, labels and hash of every batch) and pack it: train.npy, dev.npy, "
        "test.npy and images.json. A share of the training images is held out for development; the test set is only "
        "tested on.",
        allow_abbrev=False,
    )
    options.add_argument(
        "--data",
        default="",
        help="the official archive (cifar-10-python.tar.gz or cifar-10-binary.tar.gz), a folder cifar-10-batches-py "
        "or cifar-10-batches-bin, with --allow_partial also another tar of the same batches, or PNG files "
        "train/<class>/*.png and test/<class>/*.png in a folder or tar; or 'mini': crops of the photographs that "
        "scikit-learn ships; without it the archive is downloaded (170 MB)",
    )
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", help="the folder to make")
    what.add_argument("--label", metavar="DIR", help="make nothing, but print what results on such a folder are called")
    options.add_argument("--downloads", default="downloads", help="where a downloaded archive is kept")
    options.add_argument(
        "--allow_partial",
        action="store_true",
        help="take batches of fewer than 10,000 images, and what others re-packed; results say what is missing",
    )
    options.add_argument(
        "--dev_share", type=share, default=0.05, help="share of the training images held out (default: 0.05)"
    )
    options.add_argument("--seed", type=int, default=0, help="which images are held out (default: 0)")
    return options


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, found {text}")
    return value


@command("vqbn-prepare-cifar10")
def main(argv: list[str]) -> None:
    """Read, check, divide, write."""
    args = parser().parse_args(argv)
    if args.label:
        from vqbn.corpora.image_source import data_label

        print(data_label(args.label))
        return
    from vqbn.corpora.cifar10 import URL, check_archive, read_cifar10
    from vqbn.corpora.download import download
    from vqbn.corpora.image_source import Source
    from vqbn.corpora.mini_images import mini_images
    from vqbn.corpora.packed_images import held_out, write_packed

    if args.data == "mini":
        sets = mini_images(args.seed)
        source = Source("crops of scikit-learn's photographs", False, {})
    else:
        data = args.data
        if not data:
            archive = Path(args.downloads) / URL.rsplit("/", 1)[1]
            data = download(URL, archive)
            check_archive(archive)
        corpus = read_cifar10(data, args.allow_partial)
        stay, out = held_out(len(corpus.train), args.dev_share, args.seed)
        sets = {"train": corpus.train[stay], "dev": corpus.train[out], "test": corpus.test}
        source = Source(corpus.name, corpus.partial, corpus.files)
    with locked(args.out, beside=True):
        write_packed(args.out, sets, source)
    counts = ", ".join(f"{name} {len(images):,}" for name, images in sets.items())
    logger.info("%s: %s%s", args.out, counts, " (a part of CIFAR-10: results will say so)" if source.partial else "")


if __name__ == "__main__":
    sys.exit(main())
