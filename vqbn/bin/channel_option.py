"""The option of commands that read audio: which channel."""

import argparse


def add_channel_option(options: argparse.ArgumentParser) -> None:
    """Add `--channel`, from 1."""
    options.add_argument(
        "--channel",
        type=_positive,
        help="which channel, from 1, of recordings with several, where reco2file_and_channel in the data directory "
        "doesn't say it (default: the first, with a warning)",
    )


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"found '{text}', expected 1, 2 or so")
    return int(text)
