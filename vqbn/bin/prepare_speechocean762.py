"""vqbn-prepare-speechocean762: speechocean762 as Kaldi data directories."""

import argparse

from vqbn.bin.command import command
from vqbn.corpora.speechocean762 import URL, fetch, prepare
from vqbn.files import locked


@command("vqbn-prepare-speechocean762")
def main(argv: list[str]) -> None:
    """Read the options, fetch the corpus if asked to, and prepare it."""
    parser = argparse.ArgumentParser(
        prog="vqbn-prepare-speechocean762",
        description="Write Kaldi data directories train and dev (and test, from the archive's layout) and lexicon.txt "
        "for speechocean762, free English read speech (OpenSLR 101).",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", help="the corpus's folder: the archive unpacked, or data directories train and dev")
    source.add_argument(
        "--download", metavar="DIR", help="fetch the corpus (520 MB) into this folder, if it is not there"
    )
    parser.add_argument("--url", default=URL, help=f"where --download fetches the archive (default: {URL})")
    parser.add_argument("--out", default="data", help="the folder for train, dev, test, lexicon.txt (default: data)")
    parser.add_argument(
        "--max_bad", type=float, default=0.05, help="the share of utterances that may lack audio (default: 0.05)"
    )
    options = parser.parse_args(argv)
    corpus = options.corpus or fetch(options.download, options.url)
    with locked(options.out):
        prepare(corpus, options.out, max_bad=options.max_bad)


if __name__ == "__main__":
    raise SystemExit(main())
