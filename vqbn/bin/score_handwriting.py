"""vqbn-score-handwriting (stage 5): bits per pixel, NELBOs, codebook use, and how well characters can be read."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vqbn.bin.command import command

# The scores need torch, which --help and a wrong option need not wait for.
if TYPE_CHECKING:
    from vqbn.runs.results import Result

logger = logging.getLogger(__name__)

# Key of scores.json → its name in the table, factor, decimals.
SHOWN = {
    "reconstruction_bpd": ("reconstruction, bits per pixel", 1, 4),
    "uniform_nelbo": ("uniform NELBO", 1, 4),
    "unigram_nelbo": ("unigram NELBO", 1, 4),
    "perplexity": ("perplexity", 1, 1),
    "used_codes": ("codes used", 1, 0),
    "codebook_size": ("  of codewords", 1, 0),
    "codes_seen": ("  codes counted", 1, 0),
    "character_accuracy": ("character accuracy %", 100, 2),
    "probe_cer": ("CER % of the index-only probe", 1, 2),
}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-score-handwriting",
        description="Score what vqbn-decode-handwriting wrote: scores.json in --expdir, and a table. With transcripts, "
        "a probe that sees nothing but code indices learns to read on --probe_set, which needs its codes. With "
        "--results the run is also kept as a results file, with its pictures.",
        allow_abbrev=False,
    )
    options.add_argument("--expdir", required=True, help="the run's folder, such as exp/bn_reest_lr_seed1")
    options.add_argument("--dump", required=True, help="the folder of lines that stage 2 packed")
    options.add_argument(
        "--set",
        dest="sets",
        action="append",
        metavar="SET",
        help="a decoded set, a folder of --dump; may be given several times (default: dev)",
    )
    options.add_argument(
        "--probe_set", default="", help="the decoded set that the probe learns on, such as train (default: no probe)"
    )
    options.add_argument("--probe_epochs", type=int, default=20, help="visits of each of its lines (default: 20)")
    options.add_argument("--results", metavar="DIR", help="the folder that keeps finished runs, such as results/<data>")
    options.add_argument("--data_label", default="", help="what the run was trained and scored on, in words")
    options.add_argument("--command", default="", help="the command line that trained the run, for the report")
    return options


@command("vqbn-score-handwriting")
def main(argv: list[str]) -> None:
    """Score, print, and keep."""
    args = parser().parse_args(argv)
    from vqbn.bin.score import print_scores
    from vqbn.corpora.packed_lines import LineDataset
    from vqbn.runs.pictures import keep_first_pictures
    from vqbn.runs.results import write_result
    from vqbn.runs.scored import write_scores
    from vqbn.tasks.handwriting.decoding import read_decoded_lines
    from vqbn.tasks.handwriting.scoring import evaluate_lines, learn_probe, probe_cer, transcribed
    from vqbn.tasks.recognition.decoding import output_folder

    probe = None
    if args.probe_set:
        folder = output_folder(args.expdir, args.probe_set)
        probe = learn_probe(
            read_decoded_lines(folder), LineDataset(args.dump, args.probe_set), str(folder), args.probe_epochs
        )
        if probe is None:
            logger.info("%s: no codes or no transcripts: the probe's character error rate is left out", folder)
    evaluations = {}
    for name in args.sets or ["dev"]:
        folder, dataset = output_folder(args.expdir, name), LineDataset(args.dump, name)
        decoded = read_decoded_lines(folder)
        evaluations[name] = evaluate_lines(decoded, dataset, str(folder))
        if probe is not None and (rate := probe_cer(probe, transcribed(decoded, dataset))) is not None:
            evaluations[name].scores["probe_cer"] = rate
    write_scores(args.expdir, evaluations, args.command)
    print_scores(Path(args.expdir).absolute().name, evaluations, SHOWN)
    logger.info("wrote %s", Path(args.expdir) / "scores.json")
    if args.results:
        label = args.data_label or Path(args.results).absolute().name
        result = finished_run(args.expdir, label, args.command)
        logger.info("wrote %s", write_result(args.results, result))
        keep_first_pictures(args.expdir, Path(args.results) / "figures", result.name, result.seed)


def finished_run(expdir: str | Path, data: str, command: str = "") -> "Result":
    """A scored run's folder as a `Result`, its configuration read from config.yaml.

    Raises:
        InputError: a file is missing or malformed.
    """
    from vqbn.runs.config import configuration_hash, decisive, recorded_config
    from vqbn.runs.keys import HANDWRITING as KEYS
    from vqbn.runs.scored import collect_run
    from vqbn.tasks.handwriting.decoding import ABOUT

    config, commit = recorded_config(Path(expdir) / "config.yaml", KEYS)
    return collect_run(
        *(expdir, data, decisive(config, KEYS), configuration_hash(config, KEYS), commit, command),
        about_decoding=ABOUT,
    )


if __name__ == "__main__":
    sys.exit(main())
