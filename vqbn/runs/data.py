"""Loaders of batches that are made whole."""

import torch
from torch.utils.data import DataLoader, IterableDataset


def batch_loader(batches: IterableDataset, num_workers: int = 0) -> DataLoader:
    """A loader of what `batches` yields, in its order whatever the number of workers.

    Args:
        batches: yields batches; in a worker process only that worker's share.
        num_workers: extra processes; 0: this one.
    """
    # A generator of its own: else each start of the loader would draw from the global one.
    return DataLoader(batches, batch_size=None, num_workers=num_workers, generator=torch.Generator().manual_seed(0))
