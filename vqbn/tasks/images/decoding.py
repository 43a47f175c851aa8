"""What stage 4 leaves of a set of images: their codes, and how many nats each took."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vqbn.corpora.packed_images import read_packed
from vqbn.errors import InputError
from vqbn.metrics.codes import usage_histogram
from vqbn.metrics.evaluation import Evaluation
from vqbn.runs.decoding import AGAIN, output_folder, read_about, writing_decoding
from vqbn.runs.task import Decoding
from vqbn.tasks.images.codes import ImageCodes, fingerprint, read_codes, write_codes
from vqbn.tasks.images.evaluation import code_images
from vqbn.tasks.images.folder import save_png
from vqbn.tasks.images.model import ImageAutoencoder
from vqbn.tasks.images.pictures import decode_images, grid, unigram_codes
from vqbn.tasks.images.scoring import image_scores

FILES = ("codes.npz", "nats.npy")
ABOUT = {"images": int, "dimensions": int}
# Images of a set that are drawn.
SHOWN = 12


@dataclass
class DecodedImages:
    """A decoded set.

    Attributes:
        codes: of each image.
        nats: float64 (images,), -ln p(image | codes), summed over pixels and channels.
        about: what `decode.json` says; see `ABOUT`.
    """

    codes: ImageCodes
    nats: np.ndarray
    about: dict[str, object] = field(default_factory=dict)


def decode_set(decoding: Decoding, out: Path) -> str:
    """Take a set of packed images through a trained autoencoder; as `Task.decode`.

    Writes codes.npz, nats.npy (each image's negative log-likelihood given its codes) and decode.json; and pictures into
    the run's images/: originals above reconstructions, and images of codes drawn from the unigram prior.
    """
    loaded, args = decoding.loaded, decoding.args
    images = read_packed(args.images, args.set_name)
    height, width = loaded.about["height"], loaded.about["width"]
    if images.shape[1:3] != (height, width):
        raise InputError(
            f"{args.images}: images of {images.shape[2]}x{images.shape[1]}, expected {width}x{height}, "
            "as the model was trained on"
        )
    model = loaded.model.to(decoding.device)
    nats, indices = [], []
    for coded in code_images(model, images, args.batch_size):
        nats.append(coded.nll.cpu().numpy())
        indices.append(coded.indices.to("cpu", torch.int32).numpy())
    codes = np.concatenate(indices)
    if (codes < 0).any():
        raise InputError(f"{loaded.path}: from before the first clustering: nothing is quantised; train on")
    size = model.bottleneck.codebook_size
    names = [f"{args.set_name}-{number:05d}" for number in range(len(images))]
    about = decoding.about | {
        "images": len(images),
        "dimensions": images.size,
        "codebook_size": size,
        "num_codebooks": codes.shape[3],
    }
    stored = ImageCodes(names, codes, size, str(loaded.path.absolute()), fingerprint(model))
    write_decoded_images(out, DecodedImages(stored, np.concatenate(nats), about))
    draw_set(model, images, codes, Path(args.expdir) / "images", args.set_name)
    return f"{len(images)} images"


def draw_set(model: ImageAutoencoder, images: np.ndarray, codes: np.ndarray, folder: Path, set_name: str) -> None:
    """Write two pictures: some reconstructions, and images of codes drawn as often as the set uses them."""
    usage = usage_histogram([codes.reshape(-1, codes.shape[3])], model.bottleneck.codebook_size)
    originals, first = np.asarray(images[:SHOWN]), codes[:SHOWN]
    samples = decode_images(model, unigram_codes(usage, (2 * SHOWN, *codes.shape[1:3])))
    save_png(folder / f"reconstructions_{set_name}.png", grid([originals, decode_images(model, first)]))
    save_png(folder / f"samples_{set_name}.png", grid([samples[:SHOWN], samples[SHOWN:]]))


def write_decoded_images(folder: str | Path, decoded: DecodedImages) -> None:
    """Write codes.npz, nats.npy and decode.json; the folder appears whole.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written; an older decoding is untouched.
    """
    with writing_decoding(folder, FILES, decoded.about) as temporary:
        write_codes(temporary / "codes.npz", decoded.codes)
        with (temporary / "nats.npy").open("wb") as file:
            np.save(file, decoded.nats)


def read_decoded_images(folder: str | Path) -> DecodedImages:
    """Read what `write_decoded_images` wrote.

    Raises:
        InputError: a file is missing or malformed, or they are not of the same images.
    """
    folder = Path(folder)
    about = read_about(folder, ABOUT)
    codes = read_codes(folder / "codes.npz")
    try:
        nats = np.load(folder / "nats.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder / 'nats.npy'}: missing or damaged ({error}); {AGAIN}") from error
    if nats.shape != (about["images"],) or len(codes.names) != about["images"] or not np.isfinite(nats).all():
        raise InputError(
            f"{folder / 'nats.npy'}: {nats.shape} numbers and {len(codes.names)} codes, expected {about['images']} of "
            f"each, all finite; {AGAIN}"
        )
    return DecodedImages(codes, nats, about)


def score_sets(expdir: str | Path, sets: Sequence[str]) -> dict[str, Evaluation]:
    """The scores of decoded sets of a run.

    Raises:
        InputError: a set is not decoded, or its files are malformed.
    """
    return {name: evaluate_decoded(read_decoded_images(output_folder(expdir, name))) for name in sets}


def evaluate_decoded(decoded: DecodedImages) -> Evaluation:
    """The scores of a decoded set, and its usage of each codebook."""
    indices = decoded.codes.indices
    usage = usage_histogram([indices.reshape(-1, indices.shape[3])], decoded.codes.codebook_size)
    scores = image_scores(float(decoded.nats.sum()), int(decoded.about["dimensions"]), usage)
    return Evaluation(scores=scores, usage=usage.tolist())
