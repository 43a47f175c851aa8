"""Options that several commands have, and their values."""

import argparse

from vqbn.errors import InputError


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text}")
    return value


def add_model_options(options: argparse.ArgumentParser) -> None:
    """Which weights of a checkpoint are used, and where they run."""
    options.add_argument(
        "--not_averaged", action="store_true", help="use the weights of the last update, not their running average"
    )
    options.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU where there is one"
    )
    options.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")


def use_device(args: argparse.Namespace) -> str:
    """Set the number of threads, and choose "cpu" or "cuda", as `add_model_options` lets users say.

    Raises:
        InputError: a GPU is asked for, and there is none.
    """
    import torch

    torch.set_num_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: found cuda, but torch sees no GPU; give cpu")
    return "cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu"
