"""Training batches of images, in an order that any update number restores."""

import numpy as np
import torch
from torch import Tensor

from vqbn.runs.order import EndlessBatches


def as_batch(images: np.ndarray) -> Tensor:
    """Images (batch, height, width, channels) as a model takes them: uint8 (batch, channels, height, width).

    The channels stay innermost in memory.
    """
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


class ImageBatches(EndlessBatches[Tensor]):
    """The endless sequence of training batches, from one update on.

    Args:
        images: uint8 (images, height, width, channels).
        batch_size: images per update, over all processes.
        seed: of the order.
        start: updates already done: the first batch is that of update `start` + 1.
        rank: this process.
        world_size: processes; `batch_size` is a multiple of it.
    """

    def __init__(
        self, images: np.ndarray, batch_size: int, seed: int = 0, start: int = 0, rank: int = 0, world_size: int = 1
    ):
        super().__init__(len(images), batch_size, seed, start, rank, world_size)
        self.images = images

    def batch(self, update: int) -> Tensor:
        """This process's share of the batch of `update`, counted from 1: uint8 (images, channels, height, width)."""
        return as_batch(self.images[[self.item(*place) for place in self.places(update)]])
