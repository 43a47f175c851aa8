"""vqbn-score-images (stage 5 of the image recipe): bits per dimension, NELBO and codebook use."""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from vqbn.bin.command import command
from vqbn.runs.results import Result, write_result

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-score-images",
        description="Score the decoded sets of a run: reconstruction bits per dimension, uniform NELBO (what the "
        "paper's Table III calls BPD), unigram NELBO, use of the codebooks. Writes scores.json in --expdir and prints "
        "it; with --results it also keeps the run as a results file, with its pictures.",
        allow_abbrev=False,
    )
    options.add_argument("--expdir", required=True, help="the run's folder, such as exp/bn_reest_lr-8x128_seed1")
    options.add_argument(
        "--set",
        dest="sets",
        action="append",
        metavar="SET",
        help="a decoded set; may be given several times (default: test)",
    )
    options.add_argument("--results", metavar="DIR", help="the folder that keeps finished runs, such as results/<data>")
    options.add_argument("--data_label", default="", help="what the run was trained and scored on, in words")
    options.add_argument("--command", default="", help="the command line that trained the run, for the report")
    return options


@command("vqbn-score-images")
def main(argv: list[str]) -> None:
    """Score, print, and keep."""
    args = parser().parse_args(argv)
    from vqbn.runs.pictures import keep_first_pictures
    from vqbn.runs.scored import write_scores
    from vqbn.tasks.images.decoding import evaluate_decoded, read_decoded_images

    sets = args.sets or ["test"]
    evaluations = {name: evaluate_decoded(read_decoded_images(args.expdir, name)) for name in sets}
    write_scores(args.expdir, evaluations, args.command)
    print_scores(Path(args.expdir).absolute().name, {name: found.scores for name, found in evaluations.items()})
    logger.info("wrote %s", Path(args.expdir) / "scores.json")
    if args.results:
        label = args.data_label or Path(args.results).absolute().name
        result = finished_image_run(args.expdir, label, args.command)
        logger.info("wrote %s", write_result(args.results, result))
        keep_first_pictures(args.expdir, Path(args.results) / "figures", result.name, result.seed)


def finished_image_run(expdir: str | Path, data: str, command: str = "") -> Result:
    """A scored run's folder as a `Result`, its configuration read from config.yaml.

    Raises:
        InputError: a file is missing or malformed.
    """
    from vqbn.runs.config import configuration_hash, decisive, recorded_config
    from vqbn.runs.keys import IMAGES
    from vqbn.runs.scored import collect_run
    from vqbn.tasks.images.decoding import ABOUT

    config, commit = recorded_config(Path(expdir) / "config.yaml", IMAGES)
    command = command or f"vqbn-train-images --config {Path(expdir) / 'config.yaml'}"
    return collect_run(
        expdir, data, decisive(config, IMAGES), configuration_hash(config, IMAGES), commit, command, ABOUT
    )


def print_scores(title: str, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table, one column per set."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    shown = {
        "reconstruction_bpd": ("reconstruction bits/dim", 4),
        "uniform_nelbo": ("uniform NELBO bits/dim", 4),
        "unigram_nelbo": ("unigram NELBO bits/dim", 4),
        "perplexity": ("perplexity, mean over codebooks", 1),
        "used_codes": ("codes used", 0),
        "codebook_size": ("  codewords in each codebook", 0),
        "codes_seen": ("  codes counted", 0),
    }
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column("")
    for set_name in scores:
        table.add_column(set_name, justify="right")
    for key, (name, digits) in shown.items():
        table.add_row(name, *(f"{found[key]:,.{digits}f}" for found in scores.values()))
    Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
