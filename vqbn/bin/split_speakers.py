"""vqbn-split-speakers (stage 2): two halves of a set, one for tuning, the other for the report."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.kaldi.speaker_split import read_pairs, split_speakers, write_subset

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-split-speakers",
        description="Divide the speakers of a set of features: SET_tune is for choosing settings and checkpoints, "
        "SET_report for the report. Speakers are sorted by gender (with --spk2gender), then by id; every second one, "
        "from the second on, is for tuning. No features are copied.",
        allow_abbrev=False,
    )
    options.add_argument("--dump", required=True, help="the folder of features that stage 2 made")
    options.add_argument("--set", dest="set_name", default="dev", help="the set, a folder of --dump (default: dev)")
    options.add_argument(
        "--spk2gender", metavar="FILE", help="lines 'speaker gender'; each half gets its share of both"
    )
    return options


@command("vqbn-split-speakers")
def main(argv: list[str]) -> None:
    """Divide, and say who went where."""
    args = parser().parse_args(argv)
    source = Path(args.dump) / args.set_name
    speakers = set(read_pairs(source / "utt2spk").values())
    gender = read_pairs(Path(args.spk2gender)) if args.spk2gender else None
    if gender is not None and (missing := sorted(speakers - gender.keys())):
        raise InputError(f"{args.spk2gender}: no gender of {missing[0]!r} ({len(missing)} such speakers of {source})")
    try:
        halves = split_speakers(speakers, gender)
    except ValueError as error:
        raise InputError(f"{source / 'utt2spk'}: {error}") from error
    for name, half in zip(("tune", "report"), halves, strict=True):
        target = source.with_name(f"{source.name}_{name}")
        count = write_subset(source, target, half)
        logger.info("wrote %s: %d utterances of %d speakers: %s", target, count, len(half), " ".join(half))


if __name__ == "__main__":
    sys.exit(main())
