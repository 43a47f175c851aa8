"""vqbn-report-images (stage 6 of the image recipe): RESULTS.md and its figures from every run so far."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.bin.report import read_folders, read_runs, report_parser, with_pictures
from vqbn.files import write_text

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = report_parser(
        "vqbn-report-images",
        "Write the rows of the paper's Table III as far as they have been run, beside the paper's numbers, with the "
        "development NELBO against updates (Figure 4), pictures, commands and commits.",
        "figures in its figures/",
    )
    options.add_argument(
        "--set", dest="set_name", default="test", help="the set that the tables are about (default: test)"
    )
    return options


@command("vqbn-report-images")
def main(argv: list[str]) -> None:
    """Read the runs, draw the figures, write the report."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for matplotlib.
    from vqbn.bin.score_images import finished_image_run
    from vqbn.tasks.images.report import write_up

    if args.expdir:
        sections = read_runs(args.expdir, args.data_label, with_pictures(finished_image_run))
    else:
        sections = read_folders(args.results)
    out = Path(args.out).absolute()
    write_text(out, write_up(sections, out.parent, args.set_name, args.title))
    logger.info("wrote %s: %d runs", args.out, sum(map(len, sections.values())))


if __name__ == "__main__":
    sys.exit(main())
