"""vqbn-train (stage 3): train a model, or go on with its training."""

import sys

from vqbn.bin.command import command
from vqbn.bin.task_options import task_of_config
from vqbn.runs.config import parse_arguments
from vqbn.runs.kept import kept_result
from vqbn.runs.stopping import Stopped

DESCRIPTION = """Train a model with a bottleneck on what stages 0 to 2 made, or go on where a run in --expdir stopped.
Options can stand in files (--config), one `name: value` a line; later files win over earlier ones and the command line
over all. The key `task` says what is trained. Writes config.yaml, train.log, curve.jsonl, tensorboard/ and
checkpoints/{last,best}.ckpt. SIGTERM and SIGUSR1 save last.ckpt and end the run; the same command goes on, and after
SIGUSR1 Slurm or Grid Engine is asked to start the job again. With --print_kept nothing is trained: the command prints
the file in --results that holds this configuration's run, if one does."""


@command("vqbn-train")
def main(argv: list[str]) -> int | None:
    """Read the configuration, train."""
    task = task_of_config(argv, "vqbn-train", DESCRIPTION)
    print_kept = "--print_kept" in argv
    keys = [argument for argument in argv if argument != "--print_kept"]
    config = parse_arguments(keys, "vqbn-train", DESCRIPTION, task.keys, task.check)
    if print_kept:
        if kept := kept_result(config, task.keys):
            print(kept)
        return None
    # Imported here: --help and a wrong key need not wait for Lightning.
    from vqbn.runs.train import train

    try:
        train(config, task)
    except Stopped as stopped:
        return stopped.status  # it has been logged
    return None


if __name__ == "__main__":
    sys.exit(main())
