"""vqbn-decode-handwriting (stage 4): codes, likelihoods and pictures of whole lines."""

import argparse
import logging
import sys
import time
from pathlib import Path

from vqbn.bin.command import command
from vqbn.bin.decode import checkpoint_name, positive
from vqbn.errors import InputError

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-decode-handwriting",
        description="Score every pixel of a set's whole lines given their codes. Writes the code of each latent "
        "(codes.ark, codes.scp), the nats of each line (lines.tsv) and decode.json; and pictures of some lines: "
        "original, reconstruction sampled from the decoder, the most likely one, and the codes.",
        allow_abbrev=False,
    )
    options.add_argument("--expdir", required=True, help="the run's folder, such as exp/bn_reest_lr_seed1")
    options.add_argument("--dump", required=True, help="the folder of lines that stage 2 packed")
    options.add_argument("--set", dest="set_name", default="dev", help="the set, a folder of --dump (default: dev)")
    options.add_argument(
        "--checkpoint",
        default="best",
        help="best (the lowest bits per pixel on the development set), last, or a .ckpt file (default: best)",
    )
    options.add_argument("--out", help="the folder to write (default: decode_<set> in --expdir)")
    options.add_argument("--codes_only", action="store_true", help="only the codes, which takes a fraction of the time")
    options.add_argument("--pictures", type=int, default=4, help="how many lines to draw (default: 4)")
    options.add_argument(
        "--picture_columns", type=positive, default=400, help="at most so many columns of each (default: 400)"
    )
    options.add_argument("--batch_columns", type=positive, default=4096, help="columns per batch (default: 4096)")
    options.add_argument(
        "--not_averaged", action="store_true", help="use the weights of the last update, not their running average"
    )
    options.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU where there is one"
    )
    options.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")
    return options


@command("vqbn-decode-handwriting")
def main(argv: list[str]) -> None:
    """Load the model and the set, score, write the folder, draw."""
    args = parser().parse_args(argv)
    # Imported here: --help and a wrong option need not wait for torch and Lightning.
    import torch

    from vqbn.corpora.packed_lines import LineDataset
    from vqbn.tasks.handwriting.checkpoint import load_line_autoencoder
    from vqbn.tasks.handwriting.decoding import DecodedLines, write_decoded_lines
    from vqbn.tasks.handwriting.evaluation import score_lines
    from vqbn.tasks.handwriting.pictures import draw_reconstruction, reconstruct
    from vqbn.tasks.recognition.decoding import output_folder

    start = time.monotonic()
    torch.set_num_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: found cuda, but torch sees no GPU; give cpu")
    device = "cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu"
    loaded = load_line_autoencoder(args.expdir, checkpoint_name(args.checkpoint), averaged=not args.not_averaged)
    dataset = LineDataset(args.dump, args.set_name)
    if dataset.levels != loaded.levels:
        raise InputError(
            f"{Path(args.dump) / 'info.json'}: {dataset.levels} grey levels, the model {loaded.path} has "
            f"{loaded.levels}; give the --dump that it was trained on"
        )
    model = loaded.model.to(device)
    scores = score_lines(model, dataset, args.batch_columns, pixels=not args.codes_only)
    bottleneck = model.bottleneck
    about = {
        "set": args.set_name,
        "checkpoint": Path(args.checkpoint).stem,
        "update": loaded.update,
        "averaged": loaded.averaged,
        "subsampling": model.subsampling,
        "height": dataset.height,
        "lines": len(dataset),
    }
    if scores.codes:
        about |= {"codebook_size": bottleneck.codebook_size, "num_codebooks": bottleneck.num_codebooks}
    elif loaded.config["bottleneck"] == "vq":
        logger.warning("%s: from before the first clustering: nothing is quantised, no codes", loaded.path)
    out = Path(args.out) if args.out else output_folder(args.expdir, args.set_name)
    write_decoded_lines(out, DecodedLines(dataset.ids, dataset.columns, scores.nats, scores.codes, about))
    what = "codes" if args.codes_only else f"{scores.bpd:.4f} bits per pixel"
    logger.info(
        "%s: %d lines of %s with update %d on %s: %s, in %.0f s",
        *(out, len(dataset), args.set_name, loaded.update, device, what, time.monotonic() - start),
    )
    count = 0 if args.codes_only else min(args.pictures, len(dataset))
    model = model.cpu()
    for number in range(count):
        # Spread over the set, which is ordered by scribe and page.
        line = number * len(dataset) // count
        parts = reconstruct(model, dataset.pixels(line)[: args.picture_columns], seed=loaded.config["seed"])
        path = Path(args.expdir) / "images" / f"{args.set_name}_{number + 1}.png"
        title = f"{Path(args.expdir).absolute().name}, update {loaded.update:,}: {dataset.ids[line]}"
        draw_reconstruction(parts, path, dataset.levels, model.subsampling, title)
        logger.info("wrote %s", path)


if __name__ == "__main__":
    sys.exit(main())
