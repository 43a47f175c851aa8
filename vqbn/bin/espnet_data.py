"""vqbn-espnet-data: what stages 1 and 2 made, as ESPnet reads it."""

import argparse
import logging
import sys
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.files import locked

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-espnet-data",
        description="Write tokens.txt and, for each set, a folder with feats.scp and text for ESPnet. The features "
        "stay where they are.",
        allow_abbrev=False,
    )
    options.add_argument("--dump", required=True, help="the folder of features that stage 2 made")
    options.add_argument("--set", dest="sets", action="append", required=True, help="a set, a folder of --dump")
    options.add_argument("--token_type", choices=("phn", "char", "bpe"), default="phn", help="targets (default: phn)")
    options.add_argument("--tokens", help="with char and bpe, the folder that vqbn-make-tokens wrote")
    options.add_argument("--out", required=True, help="the folder to write")
    chunks = options.add_argument_group("to compare with vqbn-train: its chunks of --chunk_set, one utterance each")
    chunks.add_argument("--chunk_set", help="a set of --set; written as --out/<set>_chunks")
    chunks.add_argument("--updates", type=int, default=2350, help="of this many updates (default: 2350)")
    chunks.add_argument("--batch_size", type=int, default=32, help="chunks of an update (default: 32)")
    chunks.add_argument("--chunk_frames", type=int, default=64, help="frames of a chunk (default: 64)")
    chunks.add_argument("--chunks_per_utterance", type=int, default=2, help="in an epoch of vqbn-train (default: 2)")
    chunks.add_argument("--seed", type=int, default=1, help="of vqbn-train (default: 1)")
    return options


@command("vqbn-espnet-data")
def main(argv: list[str]) -> None:
    """Read tokens and sets, write."""
    args = parser().parse_args(argv)
    with locked(args.out):
        write_data(args)


def write_data(args: argparse.Namespace) -> None:
    """Write tokens and sets."""
    from vqbn.espnet2.data import phone_transcripts, write_chunks, write_set, write_token_list
    from vqbn.files import write_text
    from vqbn.kaldi.cmvn import read_cmvn
    from vqbn.kaldi.speech import SpeechDataset
    from vqbn.kaldi.tokens import Tokens
    from vqbn.tasks.recognition.data import ChunkBatches
    from vqbn.tasks.recognition.text_tokens import TextTokens
    from vqbn.tasks.recognition.transcribed import transcripts_of

    dump, out = Path(args.dump), Path(args.out)
    if args.token_type != "phn" and not args.tokens:
        raise InputError(f"--tokens: not given; expected what vqbn-make-tokens wrote for {args.token_type}")
    if args.chunk_set and (args.token_type != "phn" or args.chunk_set not in args.sets):
        raise InputError(f"--chunk_set: found {args.chunk_set}, expected one of --set, with phones as targets")
    phones = Tokens.read(dump / "tokens.txt")
    tokens = phones if args.token_type == "phn" else Tokens.read(Path(args.tokens) / "tokens.txt")
    write_token_list(out / "tokens.txt", tokens)
    cutter = TextTokens(args.token_type, Path(args.tokens) / "bpe.model" if args.token_type == "bpe" else None)
    cmvn = read_cmvn(dump / "cmvn.ark")
    for name in args.sets:
        dataset = SpeechDataset(dump / name, phones, cmvn)
        text = phone_transcripts(dataset) if args.token_type == "phn" else transcripts_of(dataset)
        write_set(out / name, dataset, text)
        per_utterance = sum(map(len, map(cutter.cut, text.values()))) / len(text)
        # ESPnet's CTC loss is a sum over an utterance's tokens: what stands beside it is weighed with their number.
        write_text(out / name / "tokens_per_utterance", f"{per_utterance:.1f}\n")
        logger.info("wrote %s: %d utterances of %.1f tokens on average", out / name, len(dataset), per_utterance)
        if name == args.chunk_set:
            batches = ChunkBatches(dataset, args.batch_size, args.chunk_frames, args.chunks_per_utterance, args.seed)
            per_chunk = write_chunks(out / f"{name}_chunks", batches, range(1, args.updates + 1))
            write_text(out / f"{name}_chunks" / "tokens_per_utterance", f"{per_chunk:.1f}\n")
            logger.info("wrote %s: %d chunks", out / f"{name}_chunks", args.updates * args.batch_size)


if __name__ == "__main__":
    sys.exit(main())
