"""vqbn-report-images (stage 6 of the image recipe): RESULTS.md and its figures from every run so far."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.bin.report import read_folders
from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.scoring.results import Result

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-report-images",
        description="Write the rows of the paper's Table III as far as they have been run, beside the paper's numbers, "
        "with the development NELBO against updates (Figure 4), pictures, commands and commits.",
        allow_abbrev=False,
    )
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--results",
        nargs="+",
        metavar="DIR",
        help="folders with results files, or folders of such folders; each becomes a section, its figures in figures/",
    )
    source.add_argument("--expdir", help="a folder with scored runs, <name>_seed<N>/, reported without results files")
    options.add_argument("--out", required=True, metavar="FILE", help="the report, such as RESULTS.md")
    options.add_argument(
        "--set", dest="set_name", default="test", help="the set that the tables are about (default: test)"
    )
    options.add_argument("--data_label", default="", help="with --expdir: what the runs were trained on, in words")
    options.add_argument("--title", default="Results", help="the report's first line (default: Results)")
    return options


@command("vqbn-report-images")
def main(argv: list[str]) -> None:
    """Read the runs, draw the figures, write the report."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for matplotlib.
    from vqbn.scoring.image_report import write_up

    sections = read_runs(Path(args.expdir), args.data_label) if args.expdir else read_folders(args.results)
    out = Path(args.out).absolute()
    write_text(out, write_up(sections, out.parent, args.set_name, args.title))
    logger.info("wrote %s: %d runs", args.out, sum(map(len, sections.values())))


def read_runs(expdir: Path, data_label: str) -> dict[Path, list[Result]]:
    """The scored runs in a folder, whose pictures are copied beside its figures; others are named and left out.

    Raises:
        InputError: the folder is not there or holds no scored run.
    """
    from vqbn.bin.score_images import finished_image_run
    from vqbn.scoring.run_pictures import keep_pictures

    if not expdir.is_dir():
        raise InputError(f"{expdir}: no such folder; expected runs, <name>_seed<N>/")
    results = []
    for run in sorted(expdir.glob("*_seed*")):
        if (run / "scores.json").exists():
            results.append(finished_image_run(run, data_label or expdir.absolute().name))
            keep_pictures(run, expdir / "figures")
        elif run.is_dir():
            logger.warning("left out: %s: not scored yet", run)
    if not results:
        raise InputError(f"{expdir}: no scored runs (<name>_seed<N>/scores.json); score one first (stage 5)")
    return {expdir: results}


if __name__ == "__main__":
    sys.exit(main())
