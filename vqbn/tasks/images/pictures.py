"""Originals above their reconstructions, and images of codes drawn at random."""

from collections.abc import Sequence

import numpy as np
import torch

from vqbn.tasks.images.model import ImageAutoencoder

BATCH = 100


def grid(rows: Sequence[np.ndarray], zoom: int = 2, gap: int = 2) -> np.ndarray:
    """Rows of images in one picture.

    Args:
        rows: each uint8 (images, height, width, 3), equally many.
        zoom: pixels per pixel.
        gap: white pixels between images.

    Returns:
        uint8 (height, width, 3).
    """
    lines = []
    for row in rows:
        scaled = row.repeat(zoom, axis=1).repeat(zoom, axis=2)
        padded = np.pad(scaled, ((0, 0), (gap, gap), (gap, gap), (0, 0)), constant_values=255)
        lines.append(np.concatenate(list(padded), axis=1))
    return np.concatenate(lines, axis=0)


@torch.no_grad()
def decode_images(model: ImageAutoencoder, indices: np.ndarray, mode: bool = False) -> np.ndarray:
    """Images of codes: uint8 (images, height, width, 3).

    Args:
        model: in evaluation mode, on any device.
        indices: integers (images, height / 4, width / 4, num_codebooks).
        mode: the most likely level of each value, rather than the rounded mean.
    """
    device = next(model.parameters()).device
    parts = []
    for first in range(0, len(indices), BATCH):
        batch = torch.from_numpy(indices[first : first + BATCH].astype(np.int64)).to(device)
        images = model.reconstruct(model.bottleneck.decode_indices(batch), mode)
        parts.append(images.permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def unigram_codes(usage: np.ndarray, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Codes drawn from each codebook's own frequencies, independently of each other.

    Args:
        usage: (num_codebooks, K) counts.
        shape: images, height and width of the latents.
        seed: of the draw.

    Returns:
        int64 (images, height, width, num_codebooks).
    """
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(len(counts), size=shape, p=counts / counts.sum()) for counts in usage], axis=-1)
