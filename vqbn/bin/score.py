"""vqbn-score (stage 5): phone error rate, codebook use and unit quality of what vqbn-decode wrote."""

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.runs.results import Result, write_result
from vqbn.tasks.recognition.trn import read_trn

# The scores need torch, which --help and a wrong option need not wait for.
if TYPE_CHECKING:
    from vqbn.metrics.evaluation import Evaluation

logger = logging.getLogger(__name__)

# Key of scores.json → its name in the table, factor, decimals.
SHOWN = {
    "per": ("PER %", 1, 2),
    "wer": ("WER %", 1, 2),
    "substitutions": ("  substitutions", 1, 0),
    "deletions": ("  deletions", 1, 0),
    "insertions": ("  insertions", 1, 0),
    "reference_length": ("  reference phones", 1, 0),
    "per_sclite": ("PER % as sclite counts", 1, 2),
    "wer_sclite": ("WER % as sclite counts", 1, 2),
    "substitutions_sclite": ("  sclite's substitutions", 1, 0),
    "deletions_sclite": ("  sclite's deletions", 1, 0),
    "insertions_sclite": ("  sclite's insertions", 1, 0),
    "per_nosil": ("PER % without SIL", 1, 2),
    "cer": ("CER %", 1, 2),
    "perplexity": ("perplexity", 1, 1),
    "perplexity_nosil": ("perplexity without SIL", 1, 1),
    "used_codes": ("codes used", 1, 0),
    "codebook_size": ("  of codewords", 1, 0),
    "codes_seen": ("  codes counted", 1, 0),
    "phone_purity": ("phone purity %", 100, 2),
    "pnmi": ("PNMI %", 100, 2),
    "bits_per_second": ("bits/s", 1, 1),
}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-score",
        description="Score decoded sets of a run: writes scores.json in --expdir and prints it, and tables of errors "
        "by utterance, speaker and phone beside each decoding. PER takes the fewest edits; what NIST's sclite prints, "
        "whose alignment weighs a substitution 4 and other edits 3, is beside it. With --results it also keeps the run "
        "as a results file. With --ref and --hyp it scores two trn files alone.",
        allow_abbrev=False,
    )
    options.add_argument("--expdir", help="the run's folder, such as exp/bn_reest_lr_seed1")
    options.add_argument("--dump", help="the folder of features that stage 2 made, for alignments and speakers")
    options.add_argument(
        "--set",
        dest="sets",
        action="append",
        metavar="SET",
        help="a decoded set, a folder of --dump; may be given several times (default: dev)",
    )
    options.add_argument(
        "--beam",
        type=int,
        default=0,
        metavar="N",
        help="score what vqbn-decode --beam N wrote, beside the best path's: <set>_beam<N> in scores.json; its codes "
        "are the same, and not counted again (default: 0, the best path)",
    )
    options.add_argument("--results", metavar="DIR", help="the folder that keeps finished runs, such as results/<data>")
    options.add_argument("--data_label", default="", help="what the run was trained and scored on, in words")
    options.add_argument("--command", default="", help="the command line that trained the run, for the report")
    options.add_argument("--ref", metavar="TRN", help="reference phones, lines 'PH PH (utterance)'")
    options.add_argument("--hyp", metavar="TRN", help="recognised phones of the same utterances")
    return options


@command("vqbn-score")
def main(argv: list[str]) -> None:
    """Score, print, and keep."""
    options = parser()
    args = options.parse_args(argv)
    if args.ref or args.hyp:
        if not (args.ref and args.hyp) or args.expdir:
            options.error("--ref and --hyp go together, and without --expdir")
        from vqbn.metrics.evaluation import evaluate_phones

        print_scores(
            Path(args.hyp).name, {"": evaluate_phones(read_trn(args.hyp), read_trn(args.ref), source=args.hyp)}
        )
        return
    if not args.expdir or not args.dump:
        options.error("--expdir and --dump are needed (or --ref and --hyp)")
    from vqbn.runs.scored import write_scores
    from vqbn.tasks.recognition.decoding import decoded_name, output_folder
    from vqbn.tasks.recognition.error_tables import write_error_tables

    evaluations = {
        decoded_name(name, args.beam): score_set(args.expdir, args.dump, name, args.beam)
        for name in args.sets or ["dev"]
    }
    write_scores(args.expdir, evaluations, args.command)
    for name, evaluation in evaluations.items():
        write_error_tables(output_folder(args.expdir, name), evaluation)
    print_scores(Path(args.expdir).absolute().name, evaluations)
    logger.info("wrote %s", Path(args.expdir) / "scores.json")
    if args.results:
        label = args.data_label or Path(args.results).absolute().name
        logger.info("wrote %s", write_result(args.results, finished_run(args.expdir, label, args.command)))


def score_set(expdir: str | Path, dump: str | Path, set_name: str, beam: int = 0) -> "Evaluation":
    """Score one decoded set of a run against its alignments; of a beam search the errors alone.

    Raises:
        InputError: the set is not decoded, its files are malformed, or they and the alignments are of different
            utterances.
    """
    from vqbn.kaldi.speech import open_set
    from vqbn.kaldi.tokens import Tokens
    from vqbn.metrics.evaluation import evaluate_codes, evaluate_phones
    from vqbn.metrics.per import SILENCE
    from vqbn.tasks.recognition.decoding import decoded_name, output_folder, read_decoded
    from vqbn.tasks.recognition.text import evaluate_words

    folder, dump = output_folder(expdir, decoded_name(set_name, beam)), Path(dump)
    decoded = read_decoded(folder)
    tokens = Tokens.read(dump / "tokens.txt")
    dataset = open_set(dump, set_name, tokens)
    missing = sorted(decoded.references.keys() ^ set(dataset.utterances))
    if missing:
        raise InputError(
            f"{folder / 'ref.trn'}: {missing[0]!r} is not both here and in {dump / set_name} "
            f"({len(missing)} such utterances); decode the set again"
        )
    evaluate = evaluate_words if decoded.about.get("token_type", "phn") != "phn" else evaluate_phones
    evaluation = evaluate(
        decoded.hypotheses,
        decoded.references,
        {utterance: dataset.speaker(utterance) for utterance in dataset.utterances},
        source=str(folder / "hyp.trn"),
    )
    if decoded.codes and not beam:
        scores, evaluation.usage = evaluate_codes(
            decoded.codes,
            {utterance: dataset.segments(utterance) for utterance in dataset.utterances},
            tokens.index.get(SILENCE),
            decoded.about["codebook_size"],
            decoded.about["subsampling"],
            decoded.about["frame_shift"],
            source=str(folder / "codes.scp"),
        )
        evaluation.scores |= scores
    return evaluation


def finished_run(expdir: str | Path, data: str, command: str = "") -> Result:
    """A scored run's folder as a `Result`, its configuration read from config.yaml.

    Raises:
        InputError: a file is missing or malformed.
    """
    from vqbn.runs.config import configuration_hash, decisive, recorded_config
    from vqbn.runs.scored import collect_run

    config, commit = recorded_config(Path(expdir) / "config.yaml")
    return collect_run(expdir, data, decisive(config), configuration_hash(config), commit, command)


def print_scores(title: str, evaluations: Mapping[str, "Evaluation"], rows: Mapping[str, tuple] = SHOWN) -> None:
    """Print a table, one column per set, of the scores that apply; `rows` as `SHOWN`."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column("")
    for set_name in evaluations:
        table.add_column(set_name, justify="right")
    for key, (name, factor, digits) in rows.items():
        if any(key in evaluation.scores for evaluation in evaluations.values()):
            cells = (evaluation.scores.get(key) for evaluation in evaluations.values())
            table.add_row(name, *("–" if value is None else f"{factor * value:,.{digits}f}" for value in cells))
    Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
