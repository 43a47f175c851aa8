import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import Tokens
from vqbn.tasks.recognition.data import ChunkBatches, collate, whole_utterances


@pytest.fixture(scope="module")
def data(speech_dump):
    tokens, cmvn = Tokens.read(speech_dump / "tokens.txt"), read_cmvn(speech_dump / "cmvn.ark")
    return SpeechDataset(speech_dump / "train", tokens, cmvn)


def equal(batch, other):
    return all(torch.equal(x, y) for x, y in zip(batch, other, strict=True))


def test_a_sampler_restored_from_its_update_continues_batch_by_batch(data):
    whole = list(itertools.islice(ChunkBatches(data, 7, 32, 2, seed=3), 20))
    # Another dataset object, another start, two worker processes.
    for done in (0, 1, 7, 13):
        restored = ChunkBatches(data, 7, 32, 2, seed=3, start=done)
        rest = list(itertools.islice(restored, 20 - done))
        assert all(map(equal, rest, whole[done:]))
        loader = DataLoader(restored, batch_size=None, num_workers=2) if done == 7 else restored
        assert all(map(equal, itertools.islice(loader, 20 - done), whole[done:]))


def test_processes_share_the_batch_that_one_would_have(data):
    one = next(iter(ChunkBatches(data, 6, 32, seed=1, start=5)))
    parts = [next(iter(ChunkBatches(data, 6, 32, seed=1, start=5, rank=r, world_size=3))) for r in range(3)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.features, one.features[rank::3])


def test_an_epoch_visits_every_utterance_as_often_as_asked_at_different_places(data):
    batches = ChunkBatches(data, 8, 32, chunks_per_utterance=3, seed=0)
    for epoch in (0, 5):
        chunks = [batches.chunk(epoch, place) for place in range(batches.epoch_items)]
        assert sorted(utt for utt, _ in chunks) == sorted(data.utterances * 3)
        assert len(set(chunks)) > 0.8 * len(chunks)
    order = [[batches.chunk(epoch, place)[0] for place in range(batches.epoch_items)] for epoch in (0, 1)]
    assert order[0] != order[1]


def test_every_start_is_possible_the_last_one_included(data):
    batches = ChunkBatches(data, 8, data.num_frames[data.utterances[0]] - 2, seed=0)
    starts = {
        start
        for epoch in range(40)
        for place in range(batches.epoch_items)
        for utt, start in [batches.chunk(epoch, place)]
        if utt == data.utterances[0]
    }
    assert starts == {0, 1, 2}


@pytest.mark.parametrize("seed", [0, 1])
def test_another_seed_gives_another_order(data, seed):
    first = next(iter(ChunkBatches(data, 8, 32, seed=seed)))
    other = next(iter(ChunkBatches(data, 8, 32, seed=seed + 1)))
    assert not equal(first, other)


def test_short_utterances_are_padded_and_whole(data):
    frames = max(data.num_frames.values()) + 5
    batch = next(iter(ChunkBatches(data, 24, frames)))
    assert batch.features.shape == (24, frames, 21, 3)
    assert sorted(batch.lengths.tolist()) == sorted(data.num_frames.values())
    for x, n in zip(batch.features, batch.lengths, strict=True):
        assert (x[n:] == 0).all()
        assert (x[n - 1] != 0).any()


def test_whole_utterances_are_all_there_in_batches_of_a_bounded_size(data):
    seen = []
    for utterances, batch in whole_utterances(data, 300):
        seen += utterances
        assert batch.features.shape[0] * batch.features.shape[1] <= 300
        for utt, x, n, y, m in zip(utterances, *batch, strict=True):
            np.testing.assert_array_equal(x[:n], data.features(utt))
            assert y[:m].tolist() == data.targets(utt).tolist()
    assert sorted(seen) == data.utterances


def test_a_batch_without_targets_is_possible():
    batch = collate([(np.ones((4, 3, 3), np.float32), np.zeros(0, np.int64))], 6)
    assert batch.targets.shape == (1, 0)
    assert batch.target_lengths.tolist() == [0]
