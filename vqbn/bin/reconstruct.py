"""vqbn-reconstruct (stage 4 of the image recipe): codes, likelihoods and pictures of a set."""

import argparse
import logging
import sys
import time
from pathlib import Path

from vqbn.bin.command import command
from vqbn.bin.decode import positive
from vqbn.errors import InputError

logger = logging.getLogger(__name__)

SHOWN = 12


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-reconstruct",
        description="Take a set of packed images through a trained autoencoder. Writes codes.npz, nats.npy (each "
        "image's negative log-likelihood given its codes) and decode.json into decode_<set>/ of the run, and pictures "
        "into its images/: originals above reconstructions, and images of codes drawn from the unigram prior.",
        allow_abbrev=False,
    )
    options.add_argument("--expdir", required=True, help="the run's folder, such as exp/bn_reest_lr-8x128_seed1")
    options.add_argument("--images", required=True, help="the folder of packed images that stage 0 made")
    options.add_argument("--set", dest="set_name", default="test", help="the set, a file of --images (default: test)")
    options.add_argument(
        "--checkpoint",
        default="best",
        help="best (the lowest uniform NELBO on the development set), last, or a .ckpt file (default: best)",
    )
    options.add_argument("--batch_size", type=positive, default=100, help="images per batch (default: 100)")
    options.add_argument(
        "--not_averaged", action="store_true", help="use the weights of the last update, not their running average"
    )
    options.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes a GPU where there is one"
    )
    options.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")
    return options


@command("vqbn-reconstruct")
def main(argv: list[str]) -> None:
    """Load the model and the set, code it, write codes and pictures."""
    args = parser().parse_args(argv)
    # Imported here: --help and a wrong option need not wait for torch and Lightning.
    import numpy as np
    import torch

    from vqbn.corpora.packed_images import read_packed
    from vqbn.metrics.codes import usage_histogram
    from vqbn.runs.checkpoint import load_autoencoder
    from vqbn.tasks.images.codes import ImageCodes, fingerprint
    from vqbn.tasks.images.decoding import DecodedImages, write_decoded_images
    from vqbn.tasks.images.evaluation import code_images
    from vqbn.tasks.images.folder import save_png
    from vqbn.tasks.images.pictures import decode_images, grid, unigram_codes

    start = time.monotonic()
    torch.set_num_threads(args.threads)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: found cuda, but torch sees no GPU; give cpu")
    device = "cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu"
    expdir = Path(args.expdir)
    named = args.checkpoint in ("best", "last")
    path = expdir / "checkpoints" / f"{args.checkpoint}.ckpt" if named else Path(args.checkpoint)
    loaded = load_autoencoder(path, averaged=not args.not_averaged)
    images = read_packed(args.images, args.set_name)
    if images.shape[1:3] != (loaded.height, loaded.width):
        raise InputError(
            f"{args.images}: images of {images.shape[2]}x{images.shape[1]}, expected {loaded.width}x{loaded.height}, "
            "as the model was trained on"
        )
    model = loaded.model.to(device).eval()
    nats, indices = [], []
    for coded in code_images(model, images, args.batch_size):
        nats.append(coded.nll.cpu().numpy())
        indices.append(coded.indices.to("cpu", torch.int32).numpy())
    codes = np.concatenate(indices)
    if (codes < 0).any():
        raise InputError(f"{path}: from before the first clustering: nothing is quantised; train on")
    size = model.bottleneck.codebook_size
    names = [f"{args.set_name}-{number:05d}" for number in range(len(images))]
    about = {
        "set": args.set_name,
        "checkpoint": path.stem,
        "update": loaded.update,
        "averaged": loaded.averaged,
        "images": len(images),
        "dimensions": images.size,
        "codebook_size": size,
        "num_codebooks": codes.shape[3],
    }
    decoded = DecodedImages(
        ImageCodes(names, codes, size, str(path.absolute()), fingerprint(model)), np.concatenate(nats), about
    )
    out = write_decoded_images(expdir, decoded)
    first = codes[:SHOWN]
    usage = usage_histogram([codes.reshape(-1, codes.shape[3])], size)
    samples = decode_images(model, unigram_codes(usage, (2 * SHOWN, *codes.shape[1:3])))
    originals = np.asarray(images[:SHOWN])
    save_png(expdir / "images" / f"reconstructions_{args.set_name}.png", grid([originals, decode_images(model, first)]))
    save_png(expdir / "images" / f"samples_{args.set_name}.png", grid([samples[:SHOWN], samples[SHOWN:]]))
    logger.info(
        "%s: %d images of %s with update %d on %s in %.0f s; pictures in %s",
        out,
        len(images),
        args.set_name,
        loaded.update,
        device,
        time.monotonic() - start,
        expdir / "images",
    )


if __name__ == "__main__":
    sys.exit(main())
