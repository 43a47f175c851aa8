"""Train a recogniser (stage 3)."""

import sys

from vqbn.bin.command import command
from vqbn.runs.config import parse_arguments

DESCRIPTION = """Train a phone recogniser with a bottleneck on the features that stage 2 made, or go on where a run in
--expdir stopped. Options can stand in files (--config), one `name: value` a line; later files win over earlier ones and
the command line over all. Writes config.yaml, train.log, curve.jsonl, tensorboard/ and checkpoints/{last,best}.ckpt."""


@command("vqbn-train")
def main(argv: list[str]) -> None:
    config = parse_arguments(argv, "vqbn-train", DESCRIPTION)
    # Imported here: --help and a wrong key need not wait for Lightning.
    from vqbn.runs.train import train
    from vqbn.tasks.recognition.training import for_config

    train(config, for_config(config))


if __name__ == "__main__":
    sys.exit(main())
