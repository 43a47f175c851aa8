"""vqbn-decode (stage 4): a set through a trained model."""

import argparse
import logging
import sys
import time
from pathlib import Path

from vqbn.bin.command import command
from vqbn.bin.task_options import add_run_options, task_of_command
from vqbn.files import locked
from vqbn.runs.options import add_model_options, use_device
from vqbn.runs.task import Decoding, Task

logger = logging.getLogger(__name__)

DESCRIPTION = """Take a set through the trained model of a run. Writes a folder with decode.json, the code of each
latent, and what the task adds: of recognisers hyp.trn and ref.trn, of autoencoders each item's nats, and pictures in
images/ of the run."""


def parser(task: Task) -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser("vqbn-decode", description=DESCRIPTION, allow_abbrev=False)
    add_run_options(options)
    options.add_argument(
        "--set",
        dest="set_name",
        default=task.default_set,
        help=f"the set, prepared by stages 0 to 2 (default: {task.default_set})",
    )
    options.add_argument(
        "--checkpoint",
        default="best",
        help="best (the lowest score on the development set in training), last, or a .ckpt file (default: best)",
    )
    options.add_argument("--out", help="the folder to write (default: decode_<set> in --expdir)")
    add_model_options(options)
    task.add_decode_options(options)
    return options


@command("vqbn-decode")
def main(argv: list[str]) -> None:
    """Load the model, take the set through it."""
    task = task_of_command(argv, "vqbn-decode", DESCRIPTION)
    args = parser(task).parse_args(argv)
    # Imported here: --help and a wrong option need not wait for torch and Lightning.
    from vqbn.runs.checkpoint import load_run
    from vqbn.runs.decoding import output_folder

    start = time.monotonic()
    device = use_device(args)
    loaded = load_run(task, args.expdir, args.checkpoint, averaged=not args.not_averaged)
    about = {
        "set": args.set_name,
        "checkpoint": loaded.path.stem,
        "update": loaded.update,
        "averaged": loaded.averaged,
    }
    out = Path(args.out) if args.out else output_folder(args.expdir, task.decoded_name(args))
    with locked(out, beside=True):
        found = task.decode(Decoding(loaded, args, device, about), out)
    logger.info(
        "%s: %s of %s with update %d on %s in %.0f s",
        *(out, found, args.set_name, loaded.update, device, time.monotonic() - start),
    )


if __name__ == "__main__":
    sys.exit(main())
