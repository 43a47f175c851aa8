"""Images of one size in one array per set, which training reads through a memory map."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vqbn.corpora.image_source import ABOUT, Source, read_about
from vqbn.errors import InputError
from vqbn.files import replacing, write_text


def write_packed(folder: str | Path, sets: Mapping[str, np.ndarray], source: Source) -> None:
    """Write `<set>.npy` for each set, and `images.json`; the folder appears whole or not at all.

    Args:
        folder: it may hold packed images already, which are replaced.
        sets: name → uint8 (images, height, width, channels).
        source: where they are from.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written, the disk is full; what was there is untouched.
    """
    folder = Path(folder)
    if folder.is_dir():
        names = {ABOUT, *(f"{name}.npy" for name in read_about(folder)["sets"])} if (folder / ABOUT).exists() else set()
        others = sorted(path.name for path in folder.iterdir() if path.name not in names)
        if others:
            raise InputError(f"{folder}: holds {others[0]!r}, which is no packed image set; write to another folder")
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, images in sets.items():
            with (temporary / f"{name}.npy").open("wb") as file:
                array = np.ascontiguousarray(images)
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
                # By way of a buffer: on a full disk NumPy's own writing raises an error that doesn't say so.
                file.write(array.data)
        about = {
            "source": source.name,
            "partial": source.partial,
            "sets": {name: len(images) for name, images in sets.items()},
            "files": dict(source.files),
        }
        write_text(temporary / ABOUT, json.dumps(about, indent=1) + "\n")


def read_packed(folder: str | Path, name: str) -> np.ndarray:
    """A set, mapped into memory: uint8 (images, height, width, channels), read-only.

    Raises:
        InputError: the set is missing, cut short or not such an array.
    """
    path = Path(folder) / f"{name}.npy"
    sets = read_about(folder)["sets"]
    if name not in sets:
        raise InputError(f"{folder}: has no set {name!r}, only {', '.join(sets)}; name one of them, or run stage 0")
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged or missing ({error}); run stage 0 again") from error
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != sets[name]:
        raise InputError(
            f"{path}: found {images.dtype} {images.shape}, expected {sets[name]} images of uint8; run stage 0 again"
        )
    return images


def held_out(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide `count` items, as a function of the numbers given alone.

    Args:
        count: how many there are.
        share: of them that are held out, rounded; above 0, so that there is at least one, and below 1.
        seed: another one holds out others.

    Returns:
        The indices that stay and those held out, both rising.
    """
    order = np.random.default_rng((seed, count)).permutation(count)
    cut = min(max(1, round(share * count)), count - 1)
    return np.sort(order[cut:]), np.sort(order[:cut])
