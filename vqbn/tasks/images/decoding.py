"""What stage 4 leaves of a set of images: their codes, and how many nats each took."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.metrics.codes import usage_histogram
from vqbn.metrics.evaluation import Evaluation
from vqbn.runs.records import read_record, write_record
from vqbn.tasks.images.codes import ImageCodes, read_codes, write_codes
from vqbn.tasks.images.scoring import image_scores
from vqbn.tasks.recognition.decoding import output_folder

FILES = ("codes.npz", "nats.npy", "decode.json", "details.json")
ABOUT = {"set": str, "checkpoint": str, "update": int, "averaged": bool, "images": int, "dimensions": int}
AGAIN = "decode the set again (stage 4)"


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


def write_decoded_images(expdir: str | Path, decoded: DecodedImages) -> Path:
    """Write codes.npz, nats.npy and decode.json into `decode_<set>` of a run; the folder appears whole.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written; an older decoding is untouched.
    """
    folder = output_folder(expdir, str(decoded.about["set"]))
    others = sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.is_dir() else []
    if others:
        raise InputError(f"{folder}: holds {others[0]!r}, which no decoding wrote; move it elsewhere")
    with replacing(folder) as temporary:
        temporary.mkdir()
        write_codes(temporary / "codes.npz", decoded.codes)
        with (temporary / "nats.npy").open("wb") as file:
            np.save(file, decoded.nats)
        write_record(temporary / "decode.json", decoded.about)
    return folder


def read_decoded_images(expdir: str | Path, set_name: str) -> DecodedImages:
    """Read what `write_decoded_images` wrote.

    Raises:
        InputError: a file is missing or malformed, or they are not of the same images.
    """
    folder = output_folder(expdir, set_name)
    about = read_record(folder / "decode.json", ABOUT, "decode the set first (stage 4)")
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


def evaluate_decoded(decoded: DecodedImages) -> Evaluation:
    """The scores of a decoded set, and its usage of each codebook."""
    indices = decoded.codes.indices
    usage = usage_histogram([indices.reshape(-1, indices.shape[3])], decoded.codes.codebook_size)
    scores = image_scores(float(decoded.nats.sum()), int(decoded.about["dimensions"]), usage)
    return Evaluation(scores=scores, usage=usage.tolist())
