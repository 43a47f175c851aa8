"""From the image of a line to an array of grey levels."""

import io

import numpy as np
from PIL import Image

from vqbn.errors import InputError

HEIGHT = 32
# A scan counts as bilevel if this share of its pixels is within 32 of black or white.
BILEVEL_SHARE = 0.97
# Pillow would hand PostScript to Ghostscript, which is a program that runs what it is given.
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "PPM")


def width_at(size: tuple[int, int], height: int = HEIGHT) -> int:
    """Columns of an image of (width, height) pixels once it is `height` pixels high, at least 1."""
    return max(1, int(0.5 + height * size[0] / size[1]))


def read_line(data: bytes, levels: int = 4, binarize: str = "otsu", height: int = HEIGHT) -> np.ndarray:
    """Decode a line and scale it to `height` pixels and `levels` grey levels, 0 being ink.

    As the authors' code: bicubic resampling, then floor(levels · grey). A scan in grey is binarised first, because its
    paper has a tone of its own, which straddles two levels in many scans; black and white scans get their grey levels
    from the resampling alone.

    Args:
        data: a JPEG, or another of `FORMATS`.
        levels: 2 to 256.
        binarize: `otsu` (scans that are not bilevel), or `none`.
        height: of the result.

    Returns:
        uint8 (columns, height).

    Raises:
        InputError: the image is damaged, cut short, or not an image.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            grey = image.convert("L")
    except Exception as error:  # what Pillow raises for damaged data is not specified
        raise InputError(f"damaged, cut short or not an image ({str(error)[:80]})") from error
    if binarize == "otsu":
        pixels = np.asarray(grey)
        if np.mean((pixels < 32) | (pixels >= 224)) < BILEVEL_SHARE:
            grey = Image.fromarray(np.where(pixels > otsu_threshold(pixels), 255, 0).astype(np.uint8))
    scaled = grey.resize((width_at(grey.size, height), height), Image.Resampling.BICUBIC)
    x = np.asarray(scaled).astype(np.int32).T * levels // 255
    return np.minimum(x, levels - 1).astype(np.uint8)


def otsu_threshold(pixels: np.ndarray) -> int:
    """The grey value that parts uint8 pixels into those up to it and those above with the least variance within them.

    Otsu, "A threshold selection method from gray-level histograms", 1979. 127 for an image of a single value.
    """
    counts = np.bincount(pixels.ravel(), minlength=256).astype(np.float64)
    below = np.cumsum(counts)[:-1]
    total = counts.sum()
    mass = np.cumsum(counts * np.arange(256))
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass[:-1] / below - (mass[-1] - mass[:-1]) / above) ** 2
    between = np.nan_to_num(between)
    if between.max() <= 0:
        return 127
    # Between two far modes the criterion is flat: the middle of the plateau is the natural choice.
    return int(np.mean(np.flatnonzero(between >= between.max() * (1 - 1e-12))))
