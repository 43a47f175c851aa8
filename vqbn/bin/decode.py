"""vqbn-decode (stage 4): phones and code indices of whole utterances; or the images of a file of codes."""

import argparse
import logging
import sys
import time
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-decode",
        description="Recognise the whole utterances of a set without a language model. Writes hyp.trn, "
        "ref.trn (the alignment's segments, or for a model of characters or pieces the transcript's words), the code "
        "of each latent (codes.ark, codes.scp) and decode.json. "
        "Given a file of image codes instead, as in 'vqbn-decode codes.npz images/', it makes the images; "
        "'vqbn-decode codes.npz --help' says more.",
        allow_abbrev=False,
    )
    options.add_argument("--expdir", required=True, help="the run's folder, such as exp/bn_reest_lr_seed1")
    options.add_argument("--dump", required=True, help="the folder of features that stage 2 made")
    options.add_argument("--set", dest="set_name", default="dev", help="the set, a folder of --dump (default: dev)")
    options.add_argument(
        "--checkpoint",
        default="best",
        help="best (the lowest phone error rate on the development set), last, or a .ckpt file (default: best)",
    )
    options.add_argument(
        "--beam",
        type=int,
        default=0,
        metavar="N",
        help="search with N prefixes, so that the ways to spell the same phones add up; 0 reads the best path, as the "
        "paper does (default: 0)",
    )
    options.add_argument(
        "--out", help="the folder to write (default: decode_<set> in --expdir, with --beam N decode_<set>_beam<N>)"
    )
    options.add_argument(
        "--batch_frames", type=positive, default=24000, help="padded frames per batch at most (default: 24000)"
    )
    options.add_argument(
        "--not_averaged", action="store_true", help="use the weights of the last update, not their running average"
    )
    options.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU where there is one"
    )
    options.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")
    return options


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text}")
    return value


@command("vqbn-decode")
def main(argv: list[str]) -> None:
    """Load the model and the set, decode, write the folder; or hand over to the images' decoding."""
    if argv and argv[0].endswith(".npz"):
        from vqbn.bin.decode_images import decode_codes

        return decode_codes(argv)
    args = parser().parse_args(argv)
    # Imported here: --help and a wrong option need not wait for torch and Lightning.
    import torch

    from vqbn.kaldi.features import FRAME_SHIFT
    from vqbn.kaldi.speech import open_set
    from vqbn.kaldi.tokens import Tokens
    from vqbn.runs.checkpoint import load_recognizer
    from vqbn.tasks.recognition.data import whole_utterances
    from vqbn.tasks.recognition.decoding import decode, decode_text, decoded_name, output_folder, write_decoded
    from vqbn.tasks.recognition.text_tokens import TextUnits
    from vqbn.tasks.recognition.transcribed import transcripts_of

    start = time.monotonic()
    torch.set_num_threads(args.threads)
    if args.beam < 0:
        raise InputError(f"--beam: found {args.beam}, expected 0 for the best path, or how many prefixes to keep")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: found cuda, but torch sees no GPU; give cpu")
    device = "cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu"
    loaded = load_recognizer(args.expdir, checkpoint_name(args.checkpoint), averaged=not args.not_averaged)
    dump = Path(args.dump)
    phones = Tokens.read(dump / "tokens.txt")
    token_type = loaded.config.get("token_type", "phn")
    if token_type == "phn" and phones.symbols != loaded.tokens.symbols:
        raise InputError(
            f"{dump / 'tokens.txt'}: {len(phones)} tokens that are not the {len(loaded.tokens)} of {loaded.path}; "
            "give the --dump that the model was trained on"
        )
    dataset = open_set(dump, args.set_name, phones, loaded.config.get("cmvn", "global"))
    if not any((dataset.segments(utterance)[:, 0] != 0).any() for utterance in dataset.utterances):
        raise InputError(f"{dump / args.set_name}: no utterance has a phone to score against; run stage 2 again")
    model = loaded.model.to(device).eval()
    batches = whole_utterances(dataset, args.batch_frames)
    if token_type == "phn":
        decoded = decode(model, batches, phones, device, args.beam)
    else:
        decoded = decode_text(
            model, batches, loaded.tokens, TextUnits(token_type), transcripts_of(dataset), device, args.beam
        )
    decoded.about = {
        "set": args.set_name,
        "checkpoint": Path(args.checkpoint).stem,
        "update": loaded.update,
        "averaged": loaded.averaged,
        "subsampling": model.subsampling,
        "frame_shift": FRAME_SHIFT,
        "utterances": len(dataset),
        "frames": sum(dataset.num_frames.values()),
    }
    if token_type != "phn":
        decoded.about["token_type"] = token_type
    if args.beam:
        decoded.about["beam"] = args.beam
    if decoded.codes:
        decoded.about["codebook_size"] = model.bottleneck.codebook_size
        decoded.about["num_codebooks"] = next(iter(decoded.codes.values())).shape[1]
    elif loaded.config["bottleneck"] == "vq":
        logger.warning("%s: from before the first clustering: nothing is quantised, no codes", loaded.path)
    out = Path(args.out) if args.out else output_folder(args.expdir, decoded_name(args.set_name, args.beam))
    write_decoded(out, decoded)
    logger.info(
        "%s: %d utterances of %s decoded with update %d on %s in %.0f s",
        out,
        len(dataset),
        args.set_name,
        loaded.update,
        device,
        time.monotonic() - start,
    )


def checkpoint_name(given: str) -> str:
    """What `load_recognizer` takes: a name in the run's folder, or a file anywhere as an absolute path."""
    if given in ("best", "last"):
        return given
    path = Path(given)
    if path.suffix != ".ckpt":
        raise InputError(f"--checkpoint: found {given!r}, expected best, last or a file that ends in .ckpt")
    # An absolute path replaces the folder that it is joined to.
    return str(path.absolute().with_suffix(""))


if __name__ == "__main__":
    sys.exit(main())
