"""vqbn-make-tokens (stage 1, with text targets): the tokens that transcripts are cut into."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.files import locked
from vqbn.kaldi.tokens import BLANK, Tokens
from vqbn.kaldi.transcripts import read_transcripts
from vqbn.tasks.recognition.text_tokens import TOKEN_TYPES, TextTokens, train_sentencepiece

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-make-tokens",
        description="Write tokens.txt, the tokens of the training transcripts, and with --token_type bpe first train "
        "a sentencepiece model on them, bpe.model.",
        allow_abbrev=False,
    )
    options.add_argument("--text", required=True, help="the training set's transcripts, lines 'utterance transcript'")
    options.add_argument(
        "--token_type", choices=TOKEN_TYPES[1:], required=True, help="char: characters; bpe: sentencepiece's pieces"
    )
    options.add_argument(
        "--vocab_size", type=int, default=100, help="with bpe, pieces, three control symbols included (default: 100)"
    )
    options.add_argument("--out", required=True, help="the folder to write")
    return options


@command("vqbn-make-tokens")
def main(argv: list[str]) -> None:
    """Train if needed, write, and say how many."""
    args = parser().parse_args(argv)
    texts = list(read_transcripts(args.text).values())
    out = Path(args.out)
    if not any(texts):
        raise InputError(f"{args.text}: holds no transcript")
    model = None
    with locked(out):
        if args.token_type == "bpe":
            model = out / "bpe.model"
            train_sentencepiece(texts, model, args.vocab_size)
        symbols = TextTokens(args.token_type, model).symbols(texts)
        Tokens([BLANK, *symbols]).write(out / "tokens.txt")
    logger.info("wrote %s: %d tokens of %d transcripts", out / "tokens.txt", len(symbols) + 1, len(texts))


if __name__ == "__main__":
    sys.exit(main())
