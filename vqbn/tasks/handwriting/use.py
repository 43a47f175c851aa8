"""A trained autoencoder of lines on new scans, out of a model folder."""

from pathlib import Path

import numpy as np
import torch

from vqbn.errors import InputError
from vqbn.nets.pixelcnn_sampling import draw
from vqbn.runs.exported import build_exported
from vqbn.runs.model_folder import ModelFolder
from vqbn.runs.task import Task


class LineModel:
    """Lines of handwriting to codes and back.

    Args:
        folder: of vqbn-export.
        task: handwriting.

    Attributes:
        model: the module, in evaluation mode.
        height: rows of a line.
        levels: grey levels, 0 being ink.
        columns_per_unit: how wide what one code stands for is.
        codebook_size: K; None without codes.

    Raises:
        InputError: the folder's files don't fit each other.
    """

    def __init__(self, folder: ModelFolder, task: Task):
        self.model = build_exported(folder, task)
        try:
            self.height: int = folder.about["model"]["height"]
            self.levels: int = folder.about["model"]["levels"]
            self._binarize: str = folder.about["front_end"]["binarize"]
        except KeyError as error:
            raise InputError(f"{folder.path}: config.json lacks {error}; export the model again") from error
        self.columns_per_unit: int = self.model.subsampling
        self.codebook_size: int | None = getattr(self.model.bottleneck, "codebook_size", None)

    @torch.no_grad()
    def units(self, line: str | Path | np.ndarray) -> np.ndarray:
        """The code of each latent, from left to right: int64 (latents, num_codebooks).

        Args:
            line: the scan of a line, a file that Pillow reads; or uint8 (columns, height) grey levels.

        Raises:
            InputError: the scan is unreadable, of another height or with other levels; or the model has no codes.
        """
        if self.codebook_size is None:
            raise InputError("the model has no codes: its bottleneck is linear")
        pixels = torch.from_numpy(np.array(self.pixels(line)))[None]
        encoded, _ = self.model.encoder(self.model.decoder.ink(pixels.to(next(self.model.parameters()).device)))
        return self.model.bottleneck(encoded).indices[0].cpu().numpy()

    @torch.no_grad()
    def reconstruct(self, units: np.ndarray, seed: int = 0) -> np.ndarray:
        """A line drawn from its codes, one sample of the decoder: uint8 (columns, height) grey levels.

        Args:
            units: as `units` gives them.
            seed: of the sample.
        """
        condition = self.model.condition(torch.as_tensor(units, dtype=torch.int64)[None])
        generator = torch.Generator().manual_seed(seed)
        columns = len(units) * self.columns_per_unit
        return draw(self.model.decoder, condition, columns, generator=generator).pixels[0].numpy()

    def pixels(self, line: str | Path | np.ndarray) -> np.ndarray:
        """Grey levels uint8 (columns, height) of a scan, scaled and rounded as in training; arguments as of `units`."""
        if not isinstance(line, str | Path):
            pixels = np.asarray(line)
            fits = pixels.dtype == np.uint8 and pixels.ndim == 2 and pixels.shape[1] == self.height and len(pixels) > 0
            if not fits or pixels.max() >= self.levels:
                expected = f"uint8 (columns, {self.height}) below {self.levels}"
                raise InputError(f"line: found {pixels.dtype} {pixels.shape}, expected {expected}")
            return pixels
        from vqbn.corpora.line_image import read_line

        try:
            return read_line(Path(line).read_bytes(), self.levels, self._binarize, self.height)
        except OSError as error:
            raise InputError(f"{line}: can't be read: {error.strerror}") from error
        except InputError as error:
            raise InputError(f"{line}: {error}") from error
