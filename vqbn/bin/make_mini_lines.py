"""vqbn-make-mini-lines: draw a small corpus of handwriting in the layout of ScribbleLens."""

import argparse
import logging
import sys

from vqbn.bin.command import command

logger = logging.getLogger(__name__)


@command("vqbn-make-mini-lines")
def main(argv: list[str]) -> None:
    """Read the options and draw the corpus."""
    parser = argparse.ArgumentParser(
        prog="vqbn-make-mini-lines",
        description="Draw Dutch-like lines with a trembling pen, with transcripts and column alignments, as a zip file "
        "in the layout of ScribbleLens. It is there to try the recipe out, not to measure anything.",
    )
    parser.add_argument("--out", required=True, help="the zip file to write")
    parser.add_argument("--lines", type=int, default=240, help="how many, train and test together (default: 240)")
    parser.add_argument("--seed", type=int, default=1, help="chooses words and strokes (default: 1)")
    args = parser.parse_args(argv)
    from vqbn.corpora.mini_handwriting import make_mini_handwriting

    counts = make_mini_handwriting(args.out, args.lines, args.seed)
    logger.info("wrote %s: %s", args.out, ", ".join(f"{name} {count} lines" for name, count in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
