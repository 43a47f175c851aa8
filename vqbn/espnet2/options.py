"""What our ESPnet commands say about themselves without ESPnet, whose import takes many seconds."""

import argparse
from collections.abc import Sequence

CODEBOOK_LR = (
    "The learning rate of the codebook (section III-C of the paper: ten times the other). Default: that of optim_conf"
)
ALLOW_UNKNOWN_TOKENS = "Take training text with tokens that token_list lacks, as <unk>"


def training_help() -> argparse.ArgumentParser:
    """For --help of the training: what differs from ESPnet's own command, and what it can't do without."""
    options = _parser(
        "vqbn-espnet-asr-train",
        "ESPnet2's ASR training with a bottleneck: takes every option of espnet2.bin.asr_train, and these:",
        "asr_train",
        "--print_config prints all keys with their values; docs/espnet2.md says what goes into the YAML.",
    )
    options.add_argument("--config", metavar="FILE", help="a YAML with encoder: vqbn_deepspeech2 or vqbn_wrapped")
    options.add_argument("--output_dir", metavar="DIR", help="The folder of the run")
    options.add_argument("--codebook_lr", metavar="X", help=CODEBOOK_LR)
    options.add_argument("--allow_unknown_tokens", metavar="BOOL", help=ALLOW_UNKNOWN_TOKENS)
    return options


def inference_help() -> argparse.ArgumentParser:
    """For --help of the decoding."""
    options = _parser(
        "vqbn-espnet-asr-inference",
        "ESPnet2's ASR decoding of a model with a bottleneck: takes every option of espnet2.bin.asr_inference, and "
        "needs these:",
        "asr_inference",
        "docs/espnet2.md shows a whole recipe.",
    )
    options.add_argument("--asr_train_config", metavar="FILE", help="config.yaml of the training")
    options.add_argument("--asr_model_file", metavar="FILE", help="its weights: one epoch's, no average of several")
    options.add_argument("--output_dir", metavar="DIR", help="The folder to write")
    options.add_argument(
        "--data_path_and_name_and_type", metavar="PATH,NAME,TYPE", help="such as feats.scp,speech,kaldi_ark"
    )
    return options


def _parser(name: str, description: str, module: str, more: str) -> argparse.ArgumentParser:
    advice = f"All of ESPnet's options: python -m espnet2.bin.{module} --help. {more}"
    return argparse.ArgumentParser(name, "%(prog)s --OPTION VALUE ...", description, advice)


def asks_for_help(argv: Sequence[str]) -> bool:
    """Whether a command line asks for help."""
    return "-h" in argv or "--help" in argv
