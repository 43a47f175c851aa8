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
        "(sclite -r ref.trn trn -h hyp.trn trn -i rm -o all stdout), which ESPnet's recipes score with. With --results "
        "the run is also kept as a results file, which vqbn-report sets beside those of our own recipe.",
        allow_abbrev=False,
    )
    options.add_argument("--run", required=True, help="--output_dir of vqbn-espnet-asr-train")
    options.add_argument(
        "--set",
        dest="sets",
        action="append",
        required=True,
        metavar="SET",
        help="a set, whose decoding is in --run/decode_SET; may be given several times, the development set first",
    )
    options.add_argument(
        "--data", required=True, help="the folder of vqbn-espnet-data, with text and utt2spk of each set"
    )
    options.add_argument("--token_type", choices=("phn", "char", "bpe"), required=True, help="what was recognised")
    keep = options.add_argument_group("to keep the run")
    keep.add_argument("--results", metavar="DIR", help="the folder that keeps finished runs, such as results/<data>")
    keep.add_argument("--name", help="what the results file is called, without its seed, such as none-espnet2")
    keep.add_argument("--criterion", default="vq_cer_ctc", help="what the decoded epoch is the best by: vq_cer_ctc")
    keep.add_argument("--data_label", default="", help="what the run was trained and scored on, in words")
    keep.add_argument("--command", default="", help="the command line that trained the run, for the report")
    return options


@command("vqbn-espnet-score")
def main(argv: list[str]) -> None:
    """Score, print, write."""
    args = parser().parse_args(argv)
    require_espnet()
    from vqbn.espnet2.record import finished_run
    from vqbn.espnet2.scoring import score
    from vqbn.files import write_text
    from vqbn.runs.results import write_result

    evaluations = {}
    for name in args.sets:
        folder = Path(args.run) / f"decode_{name}"
        rates, evaluations[name] = score(folder, Path(args.data) / name / "text", args.token_type)
        print(f"{args.run}, {name}:")
        for rate, value in rates.items():
            print(f"{rate:12} {value:.4f} %")
        write_text(folder / "scores.json", json.dumps(rates) + "\n")
        logger.info("wrote %s", folder / "scores.json")
    if args.results:
        label = args.data_label or Path(args.results).absolute().name
        result = finished_run(
            args.run, args.criterion, args.name or Path(args.run).name, evaluations, label, args.command
        )
        logger.info("wrote %s", write_result(args.results, result))


if __name__ == "__main__":
    sys.exit(main())
