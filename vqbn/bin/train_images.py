"""Train an autoencoder of images (stage 3)."""

import sys

from vqbn.bin.command import command
from vqbn.runs.config import parse_arguments
from vqbn.runs.keys import IMAGES as KEYS

DESCRIPTION = """Train an autoencoder with a bottleneck on the images that stage 0 packed, or go on where a run in
--expdir stopped. Options can stand in files (--config), one `name: value` a line; later files win over earlier ones and
the command line over all. Writes config.yaml, train.log, curve.jsonl, tensorboard/ and checkpoints/{last,best}.ckpt."""


@command("vqbn-train-images")
def main(argv: list[str]) -> None:
    config = parse_arguments(argv, "vqbn-train-images", DESCRIPTION, KEYS)
    # Imported here: --help and a wrong key need not wait for Lightning.
    from vqbn.runs.train import train
    from vqbn.tasks.images.training import IMAGES

    train(config, IMAGES)


if __name__ == "__main__":
    sys.exit(main())
