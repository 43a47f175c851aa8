"""Training batches of short chunks, in an order that any update number restores."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vqbn.kaldi.speech import SpeechDataset
from vqbn.runs.order import EndlessBatches


class Batch(NamedTuple):
    """Padded items.

    Attributes:
        features: (batch, time, height, channels) float32, zeros after each item's end.
        lengths: (batch,) int64 valid frames.
        targets: (batch, tokens) int64, zeros after each item's end.
        target_lengths: (batch,) int64.
    """

    features: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor


def collate(items: Sequence[tuple[np.ndarray, np.ndarray]], frames: int | None = None) -> Batch:
    """Pad items of (features (n, height, channels), targets (m,)).

    Args:
        items: one or more.
        frames: pad to this many frames; None: to the longest item.
    """
    lengths = [len(features) for features, _ in items]
    tokens = [len(targets) for _, targets in items]
    features = np.zeros((len(items), frames or max(lengths), *items[0][0].shape[1:]), dtype=np.float32)
    targets = np.zeros((len(items), max(tokens)), dtype=np.int64)
    for row, (x, y) in enumerate(items):
        features[row, : len(x)] = x
        targets[row, : len(y)] = y
    return Batch(torch.from_numpy(features), torch.tensor(lengths), torch.from_numpy(targets), torch.tensor(tokens))


class ChunkBatches(EndlessBatches[Batch]):
    """The endless sequence of training batches, from one update on.

    An epoch visits every utterance `chunks_per_utterance` times in a shuffled order, each time at a random chunk. Order
    and chunk are functions of (seed, epoch, item) alone.

    Args:
        dataset: where the utterances come from.
        batch_size: items per update, over all processes.
        chunk_frames: frames per chunk; a shorter utterance is taken whole and padded. 0: whole utterances, padded to
            the longest of the batch.
        chunks_per_utterance: how often an epoch visits an utterance.
        seed: of order and chunks.
        start: updates already done: the first batch is that of update `start` + 1.
        rank: this process.
        world_size: processes; `batch_size` is a multiple of it.
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        batch_size: int,
        chunk_frames: int = 64,
        chunks_per_utterance: int = 1,
        seed: int = 0,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        super().__init__(len(dataset) * chunks_per_utterance, batch_size, seed, start, rank, world_size)
        self.dataset = dataset
        self.chunk_frames = chunk_frames

    def batch(self, update: int) -> Batch:
        """This process's share of the batch of `update`, counted from 1."""
        return collate([self._item(*place) for place in self.places(update)], self.chunk_frames or None)

    def chunk(self, epoch: int, place: int) -> tuple[str, int]:
        """The utterance and first frame of the `place`-th item of an epoch (from 0)."""
        item = self.item(epoch, place)
        utterance = self.dataset.utterances[item % len(self.dataset)]
        spare = self.dataset.num_frames[utterance] - self.chunk_frames
        if spare <= 0 or not self.chunk_frames:
            return utterance, 0
        return utterance, self.start_in(epoch, item, spare)

    def _item(self, epoch: int, place: int) -> tuple[np.ndarray, np.ndarray]:
        utterance, start = self.chunk(epoch, place)
        frames = self.dataset.num_frames[utterance]
        if self.chunk_frames:
            frames = min(self.chunk_frames, frames)
        return self.dataset.chunk(utterance, start, frames), self.dataset.targets(utterance, start, frames)


def whole_utterances(dataset: SpeechDataset, batch_frames: int) -> Iterator[tuple[list[str], Batch]]:
    """Every utterance once, longest first, batched with others of about its length.

    Args:
        dataset: where the utterances come from.
        batch_frames: padded frames per batch at most; a longer utterance is a batch of its own.

    Yields:
        The batch's utterances, and the batch.
    """
    order = sorted(dataset.utterances, key=lambda utt: (-dataset.num_frames[utt], utt))
    while order:
        count = max(1, batch_frames // dataset.num_frames[order[0]])
        group, order = order[:count], order[count:]
        yield group, collate([(dataset.features(utt), dataset.targets(utt)) for utt in group])
