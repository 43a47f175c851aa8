"""Train an autoencoder of handwriting (stage 3)."""

import sys

from vqbn.bin.command import command
from vqbn.runs.config import parse_arguments
from vqbn.runs.keys import HANDWRITING as KEYS

DESCRIPTION = """Train an autoencoder with a bottleneck on the lines of handwriting that stage 2 packed, or go on where
a run in --expdir stopped. Options can stand in files (--config), one `name: value` a line; later files win over earlier
ones and the command line over all. Writes config.yaml, train.log, curve.jsonl, tensorboard/ and
checkpoints/{last,best}.ckpt."""


@command("vqbn-train-handwriting")
def main(argv: list[str]) -> None:
    config = parse_arguments(argv, "vqbn-train-handwriting", DESCRIPTION, KEYS)
    # Imported here: --help and a wrong key need not wait for Lightning.
    from vqbn.runs.train import train
    from vqbn.tasks.handwriting.training import HANDWRITING

    train(config, HANDWRITING)


if __name__ == "__main__":
    sys.exit(main())
