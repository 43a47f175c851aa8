"""vqbn-train (stage 3): train a model, or go on with its training."""

import sys

from vqbn.bin.command import command
from vqbn.bin.task_options import task_of_config
from vqbn.runs.config import parse_arguments

DESCRIPTION = """Train a model with a bottleneck on what stages 0 to 2 made, or go on where a run in --expdir stopped.
Options can stand in files (--config), one `name: value` a line; later files win over earlier ones and the command line
over all. The key `task` says what is trained. Writes config.yaml, train.log, curve.jsonl, tensorboard/ and
checkpoints/{last,best}.ckpt."""


@command("vqbn-train")
def main(argv: list[str]) -> None:
    """Read the configuration, train."""
    task = task_of_config(argv, "vqbn-train", DESCRIPTION)
    config = parse_arguments(argv, "vqbn-train", DESCRIPTION, task.keys, task.check)
    # Imported here: --help and a wrong key need not wait for Lightning.
    from vqbn.runs.train import train

    train(config, task)


if __name__ == "__main__":
    sys.exit(main())
