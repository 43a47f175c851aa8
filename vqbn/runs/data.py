"""Training batches that are made whole, from wherever the trainer stands."""

from collections.abc import Callable

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from vqbn.runs.order import EndlessBatches


class TrainingBatches(pl.LightningDataModule):
    """The batches of a training from the trainer's update on, in an order that no number of processes changes.

    Args:
        batches: takes `start`, the updates done; `rank`, this process; and `world_size`, the processes.
        num_workers: extra processes that make batches; 0: this one.
    """

    def __init__(self, batches: Callable[..., EndlessBatches], num_workers: int = 0):
        super().__init__()
        self.batches = batches
        self.num_workers = num_workers

    def train_dataloader(self) -> DataLoader:
        trainer = self.trainer
        batches = self.batches(start=trainer.global_step, rank=trainer.global_rank, world_size=trainer.world_size)
        # A generator of its own: else each start of the loader would draw from the global one.
        generator = torch.Generator().manual_seed(0)
        return DataLoader(batches, batch_size=None, num_workers=self.num_workers, generator=generator)
