"""vqbn-prepare-wsj: the Wall Street Journal corpus as Kaldi data directories."""

import argparse

from vqbn.bin.command import command
from vqbn.corpora.wsj import SETS, prepare
from vqbn.files import locked


@command("vqbn-prepare-wsj")
def main(argv: list[str]) -> None:
    """Read the options and prepare the sets."""
    parser = argparse.ArgumentParser(
        prog="vqbn-prepare-wsj",
        description="Write Kaldi data directories for sets of the Wall Street Journal corpus (LDC93S6, LDC94S13): the "
        "utterances that the discs' indices list, with transcripts normalised as Kaldi's recipe does. Audio is read "
        "from the discs in place.",
    )
    parser.add_argument(
        "--wsj0",
        required=True,
        metavar="DIR",
        help="the folder with WSJ0's discs: disc folders (11-1.1, ...) or a merged tree (wsj0), in upper or lower case",
    )
    parser.add_argument("--wsj1", metavar="DIR", help="the folder with WSJ1's discs; may be the same folder")
    parser.add_argument("--out", default="data", help="the folder for the data directories (default: data)")
    parser.add_argument(
        "--sets", default=" ".join(SETS), help=f"which sets, separated by blanks (default: '{' '.join(SETS)}')"
    )
    parser.add_argument(
        "--spkrinfo",
        metavar="FILE",
        help="a further list of speakers with their genders: the LDC's wsj0-train-spkrinfo.txt, which no disc has",
    )
    parser.add_argument(
        "--max_bad",
        type=float,
        default=0.05,
        help="the share of a set that may lack audio or transcript (default: 0.05)",
    )
    options = parser.parse_args(argv)
    with locked(options.out):
        prepare(options.wsj0, options.wsj1, options.out, options.sets.split(), options.spkrinfo, options.max_bad)


if __name__ == "__main__":
    raise SystemExit(main())
