"""vqbn-scale-study: the paper's Figure 1a, what codes tell against the scale of codewords, without BN."""

import argparse
import logging
import sys
from dataclasses import asdict
from pathlib import Path

from vqbn.bin.command import command
from vqbn.bin.task_options import task_of_config
from vqbn.errors import InputError
from vqbn.runs.config import parse_arguments

logger = logging.getLogger(__name__)

SCALES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
DESCRIPTION = """Train a model without batch normalisation for each scale of the first codewords relative to the
encoder's outputs, read symbols from its code indices alone with a CTC probe (an embedding per code, a linear layer),
and draw the probe's error rate, the codes used and their perplexity against the scale. All options not listed here are
those of vqbn-train; --expdir gets a folder for each run. Points that --out holds already are not measured again."""


def parser() -> argparse.ArgumentParser:
    """The command's own options."""
    options = argparse.ArgumentParser("vqbn-scale-study", description=DESCRIPTION, allow_abbrev=False)
    options.add_argument(
        "--scales",
        type=scale,
        nargs="+",
        default=SCALES,
        metavar="X",
        help="norms of codewords over those of encoder outputs at the start (default: 0.01 to 100, nine of them)",
    )
    options.add_argument("--seeds", type=int, nargs="+", default=[1], metavar="N", help="of the trainings (default: 1)")
    options.add_argument("--out", required=True, metavar="JSON", help="gets the points; the figure is a .png beside it")
    options.add_argument("--data_label", default="", help="what it is measured on, in words, for the title")
    return options


def scale(text: str) -> float:
    """Read a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


@command("vqbn-scale-study")
def main(argv: list[str]) -> None:
    """Measure what is missing, write, draw."""
    args, rest = parser().parse_known_args(argv)
    if any(option.partition("=")[0] == "--seed" for option in rest):
        raise InputError("--seed: give --seeds, a list")
    task = task_of_config(rest, "vqbn-scale-study", DESCRIPTION)
    config = parse_arguments(rest, "vqbn-scale-study", DESCRIPTION, task.keys, task.check)
    # Imported here: --help and a wrong key need not wait for Lightning.
    from vqbn.reports.scale_figure import draw_study, read_study, save_figure, write_study
    from vqbn.runs.scale_study import Point, study

    out = Path(args.out)
    points = read_study(out)
    done = [Point(**point) for point in points]
    for point in study(args.scales, args.seeds, config, task, done):
        points.append(asdict(point))
        write_study(out, points, args.data_label)
        logger.info(
            "scale %g, seed %d: probe %.1f %% errors, %.3f nats a symbol, %d of %d codes used, perplexity %.1f; "
            "norms at the end %.3g (codewords) %.3g (encoder)",
            *(point.scale, point.seed, point.probe_error, point.probe_loss, point.used_codes, point.codebook_size),
            *(point.perplexity, point.codeword_norm_after, point.encoder_norm_after),
        )
    picture = out.with_suffix(".png")
    save_figure(draw_study(points, args.data_label, task.symbols), picture)
    logger.info("wrote %s: %d points; %s", out, len(points), picture)


if __name__ == "__main__":
    sys.exit(main())
