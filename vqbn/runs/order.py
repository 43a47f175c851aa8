"""The order of training items, which any update number restores."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

Batch = TypeVar("Batch")


class EndlessBatches(IterableDataset, Generic[Batch]):
    """The endless sequence of training batches, from one update on.

    An epoch visits every item once in a shuffled order, and the epochs follow each other without a short batch between
    them. The order is a function of (seed, epoch) alone, so the update number is all the state there is, and it does
    not matter how many processes or workers share the work.

    A subclass writes `batch`.

    Args:
        epoch_items: items of an epoch.
        batch_size: items per update, over all processes.
        seed: of the order.
        start: updates already done: the first batch is that of update `start` + 1.
        rank: this process.
        world_size: processes; `batch_size` is a multiple of it.
    """

    def __init__(
        self, epoch_items: int, batch_size: int, seed: int = 0, start: int = 0, rank: int = 0, world_size: int = 1
    ):
        self.epoch_items = epoch_items
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        step, offset = (worker.num_workers, worker.id) if worker else (1, 0)
        update = self.start + 1 + offset
        while True:
            yield self.batch(update)
            update += step

    def batch(self, update: int) -> Batch:
        """This process's share of the batch of `update`, counted from 1."""
        raise NotImplementedError

    def places(self, update: int) -> list[tuple[int, int]]:
        """Epoch and place in it, both from 0, of each item of this process's share of `update`."""
        first = (update - 1) * self.batch_size
        return [
            divmod(place, self.epoch_items)
            for place in range(first + self.rank, first + self.batch_size, self.world_size)
        ]

    def item(self, epoch: int, place: int) -> int:
        """The item at a place of an epoch, 0 to `epoch_items` - 1."""
        return int(epoch_order(self.seed, epoch, self.epoch_items)[place])

    def start_in(self, epoch: int, item: int, spare: int) -> int:
        """Where in `item` this epoch's chunk starts: uniform from 0 to `spare`."""
        return int(np.random.default_rng((self.seed, epoch, item, 1)).integers(spare + 1))


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, items: int) -> np.ndarray:
    """The shuffled items of an epoch: int64 (items,)."""
    return np.random.default_rng((seed, epoch)).permutation(items)
