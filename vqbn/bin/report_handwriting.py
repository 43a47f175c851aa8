"""vqbn-report-handwriting (stage 6): RESULTS.md beside the paper's Table II, and its figures."""

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
    return report_parser(
        "vqbn-report-handwriting",
        "Write the six rows of the paper's Table II as far as they have been run, beside the paper's numbers, with "
        "curves, pictures, commands and commits.",
        "a study of scales from its scale/study.json, and figures in its figures/",
    )


@command("vqbn-report-handwriting")
def main(argv: list[str]) -> None:
    """Read the runs, draw the figures, write the report."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for matplotlib.
    from vqbn.bin.score_handwriting import finished_run
    from vqbn.reports.scale_figure import studies
    from vqbn.tasks.handwriting.report import write_up

    if args.expdir:
        sections = read_runs(args.expdir, args.data_label, with_pictures(finished_run))
    else:
        sections = read_folders(args.results)
    out = Path(args.out).absolute()
    write_text(out, write_up(sections, out.parent, args.title, studies(sections if args.results else ())))
    logger.info("wrote %s: %d runs", args.out, sum(map(len, sections.values())))


if __name__ == "__main__":
    sys.exit(main())
