"""vqbn-score-trn: the phone error rate of two trn files."""

import argparse
import sys
from pathlib import Path

from vqbn.bin.command import command


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-score-trn",
        description="Score recognised phones, from anywhere, against references of the same utterances. PER takes the "
        "fewest edits; what NIST's sclite prints, whose alignment weighs a substitution 4 and other edits 3, is beside "
        "it.",
        allow_abbrev=False,
    )
    options.add_argument("--ref", required=True, metavar="TRN", help="reference phones, lines 'PH PH (utterance)'")
    options.add_argument("--hyp", required=True, metavar="TRN", help="recognised phones of the same utterances")
    options.add_argument(
        "--silence_phones",
        metavar="PHONES",
        help="what counts as silence, separated by blanks (default: SIL, or else sil and the like)",
    )
    return options


@command("vqbn-score-trn")
def main(argv: list[str]) -> None:
    """Read both files, score, print."""
    args = parser().parse_args(argv)
    # Imported here: --help need not wait for torch.
    from vqbn.bin.score import print_scores
    from vqbn.kaldi.silence import checked_silence
    from vqbn.metrics.evaluation import evaluate_phones
    from vqbn.tasks.recognition.scores import ROWS
    from vqbn.tasks.recognition.trn import read_trn

    hypotheses, references = read_trn(args.hyp), read_trn(args.ref)
    silence = None
    if args.silence_phones is not None:
        phones = {token for table in (references, hypotheses) for tokens in table.values() for token in tokens}
        silence = checked_silence(args.silence_phones, phones)
    evaluation = evaluate_phones(hypotheses, references, source=args.hyp, silence=silence)
    print_scores(Path(args.hyp).name, {"": evaluation}, ROWS)


if __name__ == "__main__":
    sys.exit(main())
