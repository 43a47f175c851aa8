"""vqbn-prepare-scribblelens: stages 0 to 2 of the handwriting recipe."""

import argparse
import json
import logging
import sys

from vqbn.bin.command import command
from vqbn.files import locked

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options: one sub-command per stage, and one that makes a corpus of pages."""
    options = argparse.ArgumentParser(
        prog="vqbn-prepare-scribblelens",
        description="Prepare ScribbleLens (OpenSLR 84), or handwriting in its layout, from its zip file, or "
        "pages with ALTO or PAGE XML.",
    )
    stages = options.add_subparsers(dest="step", required=True, metavar="pages|lists|align|pack")
    pages = stages.add_parser("pages", help="before stage 0: lines cut from scans with ALTO or PAGE XML")
    pages.add_argument("--pages", required=True, metavar="DIR", help="a folder with the XML files and their scans")
    pages.add_argument("--out", required=True, metavar="ZIP", help="the corpus to write, for lists --color_mode gray")
    pages.add_argument(
        "--test_share", type=share, default=0.1, help="the share of lines, whole pages, to test on (default: 0.1)"
    )
    lists = stages.add_parser("lists", help="stage 0: checked lists of lines for train, dev and test")
    source = lists.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", help="the corpus's zip file, which is read in place")
    source.add_argument("--download", metavar="DIR", help="fetch the zip file into this folder, if it is not there")
    lists.add_argument("--url", help="where --download fetches it (default: OpenSLR 84)")
    lists.add_argument("--out", default="data", help="the folder to write (default: data)")
    lists.add_argument(
        "--color_mode", choices=("bw", "gray", "color"), default="bw", help="which of the corpus's scans (default: bw)"
    )
    lists.add_argument("--slice", default="", help="a slice of the lists, such as tasman (default: all)")
    lists.add_argument(
        "--train_on",
        choices=("train", "unsupervised"),
        default="train",
        help="the list to train on; unsupervised is every line that is not in the test list (default: train)",
    )
    lists.add_argument(
        "--dev_share", type=share, default=0.1, help="the share of train's lines, whole pages, for dev (default: 0.1)"
    )
    lists.add_argument("--alphabet", help="a JSON file of characters and ids (default: made of the transcripts)")
    align = stages.add_parser("align", help="stage 1: the character of each column, where there are alignments")
    align.add_argument("--data", default="data", help="the folder of stage 0 (default: data)")
    align.add_argument("--corpus", help="the corpus's zip file, if it has moved since stage 0")
    align.add_argument("--paths", help="a zip file of alignments (default: the one inside the corpus's, if any)")
    pack = stages.add_parser("pack", help="stage 2: lines decoded, scaled and packed")
    pack.add_argument("--data", default="data", help="the folder of stage 0 (default: data)")
    pack.add_argument("--corpus", help="the corpus's zip file, if it has moved since stage 0")
    pack.add_argument("--out", default="dump", help="the folder to write (default: dump)")
    pack.add_argument("--grey_levels", type=levels, default=4, help="2 to 256; the authors' code has 4 (default: 4)")
    pack.add_argument(
        "--binarize",
        choices=("otsu", "none"),
        default="otsu",
        help="what is done to grey scans first: Otsu's threshold, or nothing (default: otsu)",
    )
    for stage in (pages, pack):
        stage.add_argument("--nj", type=int, default=1, help="how many processes (default: 1)")
    for stage in (pages, lists, align, pack):
        stage.add_argument(
            "--max_bad", type=share, default=0.05, help="the share of items that may be unusable (default: 0.05)"
        )
    return options


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return value


def levels(text: str) -> int:
    """Read a number of grey levels."""
    value = int(text)
    if not 2 <= value <= 256:
        raise argparse.ArgumentTypeError(f"expected a whole number from 2 to 256, found {text}")
    return value


@command("vqbn-prepare-scribblelens")
def main(argv: list[str]) -> None:
    """Do one stage."""
    args = parser().parse_args(argv)
    # Pages become a file, the other steps fill a folder.
    with locked(args.data if args.step == "align" else args.out, beside=args.step == "pages"):
        prepare(args)


def prepare(args: argparse.Namespace) -> None:
    """Do one stage in its folder."""
    from vqbn.corpora import scribblelens

    if args.step == "pages":
        from vqbn.corpora.pages import cut_pages

        cut_pages(args.pages, args.out, args.test_share, args.nj, args.max_bad)
    elif args.step == "lists":
        corpus = args.corpus or scribblelens.fetch(args.download, args.url or scribblelens.URL)
        scribblelens.prepare(
            corpus, args.out, args.color_mode, args.slice, args.train_on, args.dev_share, args.alphabet, args.max_bad
        )
    elif args.step == "align":
        counts = scribblelens.import_alignments(args.data, args.corpus, args.paths, max_bad=args.max_bad)
        if counts:
            logger.info("alignments: %s", json.dumps(counts))
        else:
            logger.info("no alignments in the corpus or with --paths: character accuracy from codes is left out")
    else:
        scribblelens.pack(
            args.data, args.out, args.corpus, args.grey_levels, args.binarize, nj=args.nj, max_bad=args.max_bad
        )


if __name__ == "__main__":
    sys.exit(main())
