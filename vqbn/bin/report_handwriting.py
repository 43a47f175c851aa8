"""vqbn-report-handwriting (stage 6): RESULTS.md beside the paper's Table II, and its figures."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.files import write_text

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-report-handwriting",
        description="Write the six rows of the paper's Table II as far as they have been run, beside the paper's "
        "numbers, with curves, pictures, commands and commits.",
        allow_abbrev=False,
    )
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--results",
        nargs="+",
        metavar="DIR",
        help="folders with results files, or folders of such folders; each becomes a section, with figures in figures/",
    )
    source.add_argument("--expdir", help="a folder with scored runs, <name>_seed<N>/, reported without results files")
    options.add_argument("--out", required=True, metavar="FILE", help="the report, such as RESULTS.md")
    options.add_argument("--data_label", default="", help="with --expdir: what the runs were trained on, in words")
    options.add_argument("--title", default="Results", help="the report's first line (default: Results)")
    return options


@command("vqbn-report-handwriting")
def main(argv: list[str]) -> None:
    """Read the runs, draw the figures, write the report."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for matplotlib.
    from vqbn.bin.report import read_folders
    from vqbn.bin.score_handwriting import finished_run
    from vqbn.scoring.line_report import write_up

    if args.expdir:
        folder = Path(args.expdir)
        label = args.data_label or folder.absolute().name
        runs = [finished_run(run, label) for run in sorted(folder.glob("*_seed*")) if (run / "scores.json").exists()]
        if not runs:
            raise InputError(f"{folder}: no scored runs (<name>_seed<N>/scores.json); score one first (stage 5)")
        sections = {folder: runs}
    else:
        sections = read_folders(args.results)
    out = Path(args.out).absolute()
    write_text(out, write_up(sections, out.parent, args.title))
    logger.info("wrote %s: %d runs", args.out, sum(map(len, sections.values())))


if __name__ == "__main__":
    sys.exit(main())
