"""The codes of images in one file, from which their reconstructions can be made again exactly."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from vqbn.errors import InputError
from vqbn.files import replacing

FORMAT = "vqbn image codes 1"


@dataclass
class ImageCodes:
    """Codes and the model that gives them their meaning.

    Attributes:
        names: of the images.
        indices: int32 (images, height / 4, width / 4, num_codebooks).
        codebook_size: K.
        checkpoint: the model's file, as an absolute path.
        fingerprint: of the model's weights, see `fingerprint`.
    """

    names: list[str]
    indices: np.ndarray
    codebook_size: int
    checkpoint: str
    fingerprint: str


def fingerprint(model: nn.Module) -> str:
    """Sixteen hexadecimal digits that stand for all weights of a model, and not for its training's progress."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not name.endswith(("_extra_state", "has_codewords", "num_batches_tracked")):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def write_codes(path: str | Path, codes: ImageCodes) -> None:
    """Write an .npz file, whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            format=np.array(FORMAT),
            names=np.array(codes.names, dtype=np.str_),
            indices=codes.indices.astype(np.int32),
            codebook_size=np.array(codes.codebook_size),
            checkpoint=np.array(codes.checkpoint),
            fingerprint=np.array(codes.fingerprint),
        )


def read_codes(path: str | Path) -> ImageCodes:
    """Read what `write_codes` wrote; nothing of the file is executed.

    Raises:
        InputError: it is missing, damaged, another kind of file, or its codes are out of range.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if "format" not in file or str(file["format"]) != FORMAT:
                raise InputError(f"{path}: no file of image codes; expected one of vqbn-encode")
            codes = ImageCodes(
                [str(name) for name in file["names"]],
                file["indices"],
                int(file["codebook_size"]),
                str(file["checkpoint"]),
                str(file["fingerprint"]),
            )
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected codes of vqbn-encode") from error
    except (ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: damaged, or no file of image codes ({error}); make it again (vqbn-encode)"
        ) from error
    indices = codes.indices
    if indices.ndim != 4 or indices.dtype.kind != "i" or len(indices) != len(codes.names):
        raise InputError(f"{path}: {indices.dtype} {indices.shape} for {len(codes.names)} images; make it again")
    if indices.size and not 0 <= indices.min() <= indices.max() < codes.codebook_size:
        raise InputError(
            f"{path}: codes from {indices.min()} to {indices.max()}, expected 0 to {codes.codebook_size - 1}; "
            "make it again (vqbn-encode)"
        )
    return codes
