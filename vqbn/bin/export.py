"""vqbn-export: a trained model in one folder, to be given away."""

import argparse
import logging
import sys

from vqbn.bin.command import command
from vqbn.tasks import task_of_run

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-export",
        description="Write config.json, model.safetensors and README.md of a run's model, with all that its input "
        "needs: no recipe, no prepared data and no pickle. vqbn.load takes the folder.",
        allow_abbrev=False,
    )
    options.add_argument("expdir", help="the run's folder, such as exp/bn_reest_lr_seed1")
    options.add_argument("--out", required=True, metavar="MODEL", help="the folder to write")
    options.add_argument(
        "--checkpoint",
        default="best",
        help="best (the lowest score on the development set in training), last, or a .ckpt file (default: best)",
    )
    options.add_argument(
        "--not_averaged", action="store_true", help="the weights of the last update, not their running average"
    )
    options.add_argument("--data_label", default="", help="what it was trained on, in words, for the model's card")
    options.add_argument("--license", default="", help="the terms of the model, such as cc-by-4.0, for its card")
    return options


@command("vqbn-export")
def main(argv: list[str]) -> None:
    """Load the model, write the folder."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for torch.
    from vqbn.runs.checkpoint import load_run
    from vqbn.runs.export import export

    task = task_of_run(args.expdir)
    loaded = load_run(task, args.expdir, args.checkpoint, averaged=not args.not_averaged)
    export(loaded, task, args.expdir, args.out, args.data_label, args.license)
    logger.info("wrote %s: %s of update %d; vqbn.load takes it", args.out, task.name, loaded.update)


if __name__ == "__main__":
    sys.exit(main())
