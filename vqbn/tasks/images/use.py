"""A trained autoencoder of images on new pictures, out of a model folder."""

from pathlib import Path

import numpy as np
import torch

from vqbn.errors import InputError
from vqbn.runs.exported import build_exported
from vqbn.runs.model_folder import ModelFolder
from vqbn.runs.task import Task


class ImageModel:
    """Pictures to codes and back.

    Args:
        folder: of vqbn-export.
        task: images.

    Attributes:
        model: the module, in evaluation mode.
        size: height and width of its pictures.
        codebook_size: K, of each codebook.

    Raises:
        InputError: the folder's files don't fit each other.
    """

    def __init__(self, folder: ModelFolder, task: Task):
        self.model = build_exported(folder, task)
        about = folder.about["model"]
        if not {"height", "width"} <= about.keys():
            raise InputError(f"{folder.path}: config.json lacks the height and width of its images; export it again")
        self.size: tuple[int, int] = (about["height"], about["width"])
        self.codebook_size: int = self.model.bottleneck.codebook_size

    @torch.no_grad()
    def units(self, image: str | Path | np.ndarray) -> np.ndarray:
        """The codes of a picture: int64 (height / 4, width / 4, num_codebooks).

        Args:
            image: a file that Pillow reads, or uint8 (height, width, 3).

        Raises:
            InputError: the picture is unreadable, or of another size.
        """
        pixels = read_picture(image) if isinstance(image, str | Path) else np.asarray(image)
        if pixels.shape != (*self.size, 3) or pixels.dtype != np.uint8:
            name = image if isinstance(image, str | Path) else "image"
            raise InputError(f"{name}: found {pixels.dtype} {pixels.shape}, expected uint8 {(*self.size, 3)}")
        batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
        return self.model.code(batch.to(next(self.model.parameters()).device))[0].cpu().numpy()

    @torch.no_grad()
    def reconstruct(self, units: np.ndarray, mode: bool = False) -> np.ndarray:
        """The picture of some codes: uint8 (height, width, 3).

        Args:
            units: as `units` gives them.
            mode: the most likely level of each value, rather than the rounded mean.
        """
        codes = torch.as_tensor(units, dtype=torch.int64)[None].to(next(self.model.parameters()).device)
        quantized = self.model.bottleneck.decode_indices(codes)
        return self.model.reconstruct(quantized, mode)[0].permute(1, 2, 0).cpu().numpy()


def read_picture(path: str | Path) -> np.ndarray:
    """A picture as uint8 (height, width, 3).

    Raises:
        InputError: it is missing, damaged or no picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # what Pillow raises for damaged data is not specified
        raise InputError(f"{path}: can't be read as a picture ({' '.join(str(error).split())[:80]})") from error
