"""vqbn-align: phone alignments from transcripts and a lexicon, without Kaldi."""

import argparse

from vqbn.bin.channel_option import add_channel_option
from vqbn.bin.command import command
from vqbn.files import locked
from vqbn.kaldi.forced_alignment import align_data_dir


@command("vqbn-align")
def main(argv: list[str]) -> None:
    """Read the options and align the sets."""
    parser = argparse.ArgumentParser(
        prog="vqbn-align",
        description="Align the phones of data directories with pocketsphinx, from transcripts and a lexicon, and write "
        "each one's phones.ctm. What can't be aligned is named, counted and left out.",
    )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        required=True,
        metavar="DIR",
        help="a data directory, such as data/train; may be given several times",
    )
    parser.add_argument("--lexicon", help="a lexicon with CMU phones (default: the CMU dictionary)")
    parser.add_argument("--audio_root", help="the folder that relative paths in wav.scp start from (default: this one)")
    add_channel_option(parser)
    parser.add_argument("--nj", type=int, default=1, help="how many processes (default: 1)")
    parser.add_argument(
        "--max_unaligned", type=float, default=0.15, help="the share of utterances that may lack one (default: 0.15)"
    )
    parser.add_argument(
        "--max_bad", type=float, default=0.05, help="the share of utterances that may be unusable (default: 0.05)"
    )
    options = parser.parse_args(argv)
    for folder in options.sets:
        with locked(folder, beside=True):
            align_data_dir(
                folder,
                options.lexicon,
                options.nj,
                options.max_unaligned,
                options.max_bad,
                options.audio_root,
                options.channel,
            )


if __name__ == "__main__":
    raise SystemExit(main())
