"""vqbn-prepare-kaldi: a folder in which Kaldi's scripts run on our data directories."""

import argparse

from vqbn.bin.command import command
from vqbn.kaldi.recipe_dir import make_recipe_dir


@command("vqbn-prepare-kaldi")
def main(argv: list[str]) -> None:
    """Read the options and make the folder."""
    parser = argparse.ArgumentParser(
        prog="vqbn-prepare-kaldi",
        description="Make a folder in which Kaldi's scripts run on our data directories: links to steps and utils, "
        "path.sh, MFCC settings, the data with audio as Kaldi's programs read it, and the dictionary.",
    )
    parser.add_argument("--kaldi_root", required=True, metavar="DIR", help="Kaldi, compiled")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to make")
    parser.add_argument(
        "--set", dest="sets", action="append", required=True, metavar="DIR", help="a data directory; may be repeated"
    )
    parser.add_argument(
        "--lexicon",
        metavar="FILE",
        help="lines 'WORD PHONE PHONE ...', for data/local/dict_nosp; without it none is made",
    )
    parser.add_argument(
        "--mfcc_conf", metavar="FILE", help="MFCC settings of a model that is there (default: those of the WSJ recipe)"
    )
    parser.add_argument("--audio_root", help="folder that relative paths in wav.scp start from (default: the current)")
    options = parser.parse_args(argv)
    make_recipe_dir(
        options.out, options.kaldi_root, options.sets, options.lexicon, options.mfcc_conf, options.audio_root
    )


if __name__ == "__main__":
    raise SystemExit(main())
