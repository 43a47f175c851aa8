"""vqbn-make-mini-speech: make a small speech corpus with espeak-ng."""

import argparse

from vqbn.bin.command import command
from vqbn.corpora.mini_speech import make_mini_speech
from vqbn.files import locked


@command("vqbn-make-mini-speech")
def main(argv: list[str]) -> None:
    """Read the options and make the corpus."""
    parser = argparse.ArgumentParser(
        prog="vqbn-make-mini-speech",
        description="Make a small speech corpus with espeak-ng: Kaldi data directories train and dev, split by voice, "
        "with the true phone times in true_phones.ctm. It is there to try a recipe out, not to measure anything.",
    )
    parser.add_argument("--out", default="data", help="the folder to make train, dev and wavs in (default: data)")
    parser.add_argument("--utterances", type=int, default=360, help="how many, train and dev together (default: 360)")
    parser.add_argument("--seed", type=int, default=1, help="chooses sentences, rates, pitches, levels (default: 1)")
    parser.add_argument("--nj", type=int, default=1, help="how many processes (default: 1)")
    options = parser.parse_args(argv)
    with locked(options.out):
        make_mini_speech(options.out, options.utterances, options.seed, options.nj)


if __name__ == "__main__":
    raise SystemExit(main())
