"""Training batches of pieces of lines, in an order that any update number restores."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vqbn.corpora.packed_lines import LineDataset
from vqbn.runs.order import EndlessBatches


class LineBatch(NamedTuple):
    """Padded lines, or pieces of lines.

    Attributes:
        pixels: (batch, columns, height) uint8 grey levels; paper, the highest level, after each item's end.
        lengths: (batch,) int64 valid columns.
    """

    pixels: Tensor
    lengths: Tensor


def collate_lines(items: Sequence[np.ndarray], levels: int, columns: int | None = None) -> LineBatch:
    """Pad items of (columns, height) grey levels.

    Args:
        items: one or more.
        levels: grey levels.
        columns: pad to this many columns; None: to the widest item.
    """
    lengths = [len(item) for item in items]
    pixels = np.full((len(items), columns or max(lengths), items[0].shape[1]), levels - 1, dtype=np.uint8)
    for row, item in zip(pixels, items, strict=True):
        row[: len(item)] = item
    return LineBatch(torch.from_numpy(pixels), torch.tensor(lengths))


class LineChunks(EndlessBatches[LineBatch]):
    """The endless sequence of training batches, from one update on.

    An epoch visits every line `chunks_per_line` times in a shuffled order, each time at a random place; a line narrower
    than a chunk is taken whole and padded. Order and place are functions of (seed, epoch, item) alone.

    Args:
        dataset: where the lines come from.
        batch_size: items per update, over all processes.
        chunk_columns: columns per chunk.
        chunks_per_line: how often an epoch visits a line.
        seed: of order and places.
        start: updates already done: the first batch is that of update `start` + 1.
        rank: this process.
        world_size: processes; `batch_size` is a multiple of it.
    """

    def __init__(
        self,
        dataset: LineDataset,
        batch_size: int,
        chunk_columns: int = 128,
        chunks_per_line: int = 4,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        super().__init__(len(dataset) * chunks_per_line, batch_size, seed, start, rank, world_size)
        self.dataset = dataset
        self.chunk_columns = chunk_columns

    def batch(self, update: int) -> LineBatch:
        """This process's share of the batch of `update`, counted from 1."""
        items = [self.dataset.pixels(*self.chunk(*place)) for place in self.places(update)]
        return collate_lines(items, self.dataset.levels, self.chunk_columns)

    def chunk(self, epoch: int, place: int) -> tuple[int, int, int]:
        """Line, first column and columns of the `place`-th item of an epoch (from 0)."""
        item = self.item(epoch, place)
        line = item % len(self.dataset)
        spare = int(self.dataset.columns[line]) - self.chunk_columns
        if spare <= 0:
            return line, 0, int(self.dataset.columns[line])
        return line, self.start_in(epoch, item, spare), self.chunk_columns


def whole_lines(dataset: LineDataset, batch_columns: int) -> Iterator[tuple[list[int], LineBatch]]:
    """Every line once, widest first, batched with others of about its width.

    Args:
        dataset: where the lines come from.
        batch_columns: padded columns per batch at most; a wider line is a batch of its own.

    Yields:
        The batch's lines, as numbers in the dataset, and the batch.
    """
    order = sorted(range(len(dataset)), key=lambda line: (-dataset.columns[line], line))
    while order:
        count = max(1, batch_columns // int(dataset.columns[order[0]]))
        group, order = order[:count], order[count:]
        yield group, collate_lines([dataset.pixels(line) for line in group], dataset.levels)
