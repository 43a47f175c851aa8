"""Folders of PNG images, read and written."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.files import replacing


def read_folder(folder: str | Path, height: int, width: int, max_bad: float = 0.05) -> tuple[list[str], np.ndarray]:
    """Every PNG of a folder, sorted by name.

    Grey images and palettes become RGB; transparency is left out.

    Args:
        folder: its own PNG files are read, not those of folders in it.
        height: that every image must have.
        width: that every image must have.
        max_bad: the share of images that may be unusable and are then left out.

    Returns:
        The names, and uint8 (images, height, width, 3).

    Raises:
        InputError: there is no such folder or no PNG in it, or too many are unusable.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder of PNG images")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png")
    if not paths:
        raise InputError(f"{folder}: has no PNG images")
    defects = Defects("images", max_bad)
    images = {}
    for path in paths:
        try:
            with Image.open(path, formats=("PNG",)) as image:
                if image.size != (width, height):
                    found = "x".join(map(str, image.size))
                    defects.add(str(path), f"{found} pixels, expected {width}x{height}, as the model was trained on")
                    continue
                images[path.name] = np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            defects.add(str(path), f"can't be read as PNG ({' '.join(str(error).split())[:80]})")
    defects.check(len(paths), str(folder))
    return list(images), np.stack(list(images.values()))


def write_folder(folder: str | Path, names: list[str], images: np.ndarray) -> None:
    """Write images (uint8 (images, height, width, 3)) as PNG files of these names into a folder.

    Raises:
        OSError: a file can't be written; each one is whole or not there.
    """
    for name, image in zip(names, images, strict=True):
        # A name out of a file stays within the folder.
        save_png(Path(folder) / Path(name).with_suffix(".png").name, image)


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Write one image, uint8 (height, width, 3)."""
    with replacing(path) as temporary:
        Image.fromarray(image, "RGB").save(temporary, format="PNG")
