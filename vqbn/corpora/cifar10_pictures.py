"""CIFAR-10 as others re-pack it: PNG files in `train/<class>/` and `test/<class>/`."""

import io
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from vqbn.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# How many pictures of a class the whole sets have.
WHOLE = {"train": 5_000, "test": 1_000}
PICTURE = re.compile(r"(?:.*/)?(train|test)/([^/]+)/([^/.][^/]*\.png)", re.IGNORECASE)
MOST_BYTES = 1 << 20


def is_picture(path: str) -> bool:
    """Whether a path ends as `train/<class>/<name>.png` or `test/<class>/<name>.png`."""
    return PICTURE.fullmatch(path) is not None


def read_pictures(source: str, pictures: Sequence[tuple[str, str, bytes]]) -> tuple[dict[str, np.ndarray], bool]:
    """Decode the pictures of both sets, those of the classes in turns.

    Args:
        source: the folder or archive, for messages.
        pictures: where it is, for messages, its path, for which `is_picture` holds, and its content; in any order.

    Returns:
        Set → uint8 (images, 32, 32, 3); and whether there are fewer than CIFAR-10 has.

    Raises:
        InputError: a picture is damaged or of another size, a class is none of CIFAR-10's or has more pictures than
            there, or a set has none.
    """
    sets: dict[str, list[tuple[int, str, str, bytes]]] = {name: [] for name in WHOLE}
    for where, path, content in pictures:
        set_name, label, name = (part.lower() for part in PICTURE.fullmatch(path).groups())
        if label not in CLASSES:
            raise InputError(f"{where}: '{label}' is no class of CIFAR-10; expected {', '.join(CLASSES)}")
        sets[set_name].append((len(name), name, label, where, content))
    partial = False
    for set_name, found in sets.items():
        for label in CLASSES:
            count = sum(row[2] == label for row in found)
            if count > WHOLE[set_name]:
                raise InputError(
                    f"{source}: {count} pictures in {set_name}/{label}, CIFAR-10 has {WHOLE[set_name]}; it is another "
                    "corpus, or holds pictures twice"
                )
            partial |= count < WHOLE[set_name]
        if not found:
            raise InputError(f"{source}: no pictures {set_name}/<class>/*.png; expected train/ and test/")
    # The first pictures of a set are shown in reports: all of one class would say little.
    images = {
        name: np.stack([_decode(where, content) for *_, where, content in sorted(found)])
        for name, found in sets.items()
    }
    return images, partial


def _decode(where: str, content: bytes) -> np.ndarray:
    """uint8 (32, 32, 3) of a PNG file."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.size != (32, 32):
                raise InputError(f"{where}: {image.width}x{image.height} pixels, expected 32x32")
            return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    except Exception as error:  # what Pillow raises for damaged data is not specified
        raise InputError(f"{where}: damaged, cut short or no PNG file ({str(error)[:80]}); fetch it again") from error
