"""vqbn-fit-codebook: k-means on stored features, or on what a trained model hands its bottleneck."""

import argparse
import functools
import logging
import sys
import time
from pathlib import Path

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.runs.options import add_model_options, positive, use_device

logger = logging.getLogger(__name__)

DESCRIPTION = """Fit a codebook by k-means to vectors that don't change any more, and score it on vectors that were held
out. Of stored features this makes units; of a trained model's encoder it gives the ceiling that the model's own
codebook is compared with. VQBottleneck.from_codebook(numpy.load('units.npz')['codebook']) quantises with it."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser("vqbn-fit-codebook", description=DESCRIPTION, allow_abbrev=False)
    options.add_argument(
        "data",
        help="Kaldi features (an .scp or .ark file, or a folder with feats.scp), an .npz file with an array (frames, "
        "dimensions) per utterance, or an .npy file; with --checkpoint the set that the model sees: dump/train of "
        "speech or handwriting, or train.npy of packed images",
    )
    options.add_argument(
        "out",
        help="the file to write, such as units.npz: codebook, and counts on what was held out; scores in units.json",
    )
    options.add_argument("--checkpoint", help="a .ckpt file: cluster what this model hands its bottleneck")
    options.add_argument(
        "--codebook_size", type=positive, metavar="K", help="codewords per codebook (default: as in the checkpoint)"
    )
    options.add_argument(
        "--num_codebooks",
        type=positive,
        metavar="C",
        help="cut each vector into so many parts, with a codebook each (default: as in the checkpoint, or 1)",
    )
    options.add_argument(
        "--vectors",
        type=positive,
        metavar="N",
        help="fit to so many, drawn uniformly from all (default: 40 per codeword, at least 20480)",
    )
    options.add_argument(
        "--held_out",
        type=share,
        default=0.1,
        metavar="SHARE",
        help="of the utterances, kept apart to score the codebook on (default: 0.1)",
    )
    options.add_argument(
        "--held_out_data", metavar="DATA", help="score it on this instead, of the same kind as the data"
    )
    options.add_argument(
        "--init",
        choices=("k-means||", "k-means++", "random"),
        default="k-means||",
        help="how the first centroids are chosen (default: k-means||)",
    )
    options.add_argument("--iterations", type=positive, default=20, help="of Lloyd's algorithm at most (default: 20)")
    options.add_argument("--seed", type=int, default=0, help="of draws and seeding (default: 0)")
    add_model_options(options)
    return options


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, found {text}")
    return value


@command("vqbn-fit-codebook")
def main(argv: list[str]) -> None:
    """Draw, cluster, score, write."""
    args = parser().parse_args(argv)
    out = Path(args.out)
    if out.suffix != ".npz":
        raise InputError(f"{args.out}: found another ending, expected a file to write that ends in .npz")
    if args.checkpoint is None and args.codebook_size is None:
        raise InputError("--codebook_size: expected the number of codewords; only a checkpoint has one of its own")
    # Imported here: --help and a wrong option need not wait for torch.
    import numpy as np

    from vqbn.files import replacing
    from vqbn.kaldi.vectors import read_vectors
    from vqbn.runs.codebook_fit import draw_samples, fit_codebook, score_codebook
    from vqbn.runs.records import write_record

    device = use_device(args)
    source, own = read_vectors, None
    size, num_codebooks = args.codebook_size, args.num_codebooks
    if args.checkpoint is not None:
        from vqbn.runs.checkpoint import load
        from vqbn.tasks import task_of_checkpoint

        task = task_of_checkpoint(args.checkpoint)
        loaded = load(args.checkpoint, task, averaged=not args.not_averaged)
        source, own = functools.partial(task.latents, loaded, device=device), loaded.model.to(device).bottleneck
        size = size or getattr(own, "codebook_size", None)
        num_codebooks = num_codebooks or getattr(own, "num_codebooks", None)
        if size is None:
            raise InputError(f"--codebook_size: expected the number of codewords; {args.checkpoint} has no codebook")
    num_codebooks = num_codebooks or 1
    capacity = args.vectors or max(20480, 40 * size)

    started = time.monotonic()
    held_out = None if args.held_out_data is None else source(Path(args.held_out_data))
    fit, rest = draw_samples(source(Path(args.data)), capacity, args.held_out, held_out, args.seed)
    read, started = time.monotonic() - started, time.monotonic()
    for sample, what in ((fit, "to fit to"), (rest, "held out")):
        if sample.not_finite:
            logger.warning("left out %d vectors %s that are not finite", sample.not_finite, what)
    vectors = fit.vectors.to(device)
    codebook = fit_codebook(vectors, size, num_codebooks, args.init, args.iterations, args.seed)
    logger.info(
        "fitted %d x %d codewords of %d dimensions to %d of %d vectors (%d items read in %.1f s) in %.1f s",
        *(*codebook.shape, len(fit.vectors), fit.seen, fit.items, read, time.monotonic() - started),
    )
    scores, counts = score_codebook(codebook, rest.vectors.to(device))
    record = {
        "data": str(args.data),
        "held_out_data": args.held_out_data,
        "checkpoint": args.checkpoint,
        "codebook_size": size,
        "num_codebooks": num_codebooks,
        "dimensions": fit.vectors.shape[1],
        "init": args.init,
        "iterations": args.iterations,
        "seed": args.seed,
        "fitted": score_codebook(codebook, vectors)[0],
        "held_out": scores,
    }
    describe("fitted", record["fitted"], num_codebooks * size)
    describe("held out", scores, num_codebooks * size)
    if getattr(own, "quantizing", False):
        record["own_codebook"] = score_codebook(own.codebook.detach(), rest.vectors.to(device))[0]
        describe("held out, the model's own codebook", record["own_codebook"], own.codebook[..., 0].numel())
    with replacing(out) as temporary, temporary.open("wb") as file:
        arrays = codebook.cpu().numpy(), counts.cpu().numpy()
        codebook, counts = (array[0] if num_codebooks == 1 else array for array in arrays)
        np.savez(file, codebook=codebook, counts=counts)
    write_record(out.with_suffix(".json"), record)
    logger.info("wrote %s: codebook %s; scores in %s", out, codebook.shape, out.with_suffix(".json"))


def describe(what: str, scores: dict[str, float | int], codewords: int) -> None:
    """One line of scores."""
    logger.info(
        "%s: %d vectors, squared error %.4g each (%.1f %% of their variance), perplexity %.1f, %d of %d codewords used",
        *(what, scores["vectors"], scores["error"], 100 * scores["error_share"], scores["perplexity"]),
        *(scores["used_codes"], codewords),
    )


if __name__ == "__main__":
    sys.exit(main())
