"""vqbn-espnet-score: error rates of what vqbn-espnet-asr-inference wrote."""

import argparse
import json
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.espnet2.installed import require_espnet

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-espnet-score",
        description="Count errors with ESPnet's scorer and with ours, which must give the same to the last digit. "
        "Prints them and writes scores.json beside the decoding, and score_<rate>/{hyp,ref}.trn for sclite "
        "(sclite -r ref.trn trn -h hyp.trn trn -i rm -o all stdout), which ESPnet's recipes score with.",
        allow_abbrev=False,
    )
    options.add_argument("--decode_dir", required=True, help="--output_dir of vqbn-espnet-asr-inference")
    options.add_argument("--text", required=True, help="the references, lines 'utterance transcript'")
    options.add_argument("--token_type", choices=("phn", "char", "bpe"), required=True, help="what was recognised")
    return options


@command("vqbn-espnet-score")
def main(argv: list[str]) -> None:
    """Score, print, write."""
    args = parser().parse_args(argv)
    require_espnet()
    from vqbn.espnet2.scoring import score
    from vqbn.files import write_text

    scores = score(args.decode_dir, args.text, args.token_type)
    for name, value in scores.items():
        print(f"{name:12} {value:.4f} %")
    target = Path(args.decode_dir) / "scores.json"
    write_text(target, json.dumps(scores) + "\n")
    logger.info("wrote %s", target)


if __name__ == "__main__":
    sys.exit(main())
