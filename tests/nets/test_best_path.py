import itertools

import pytest
import torch

from vqbn.nets.best_path import greedy_decode


def scores(paths, vocabulary=4):
    return torch.nn.functional.one_hot(torch.tensor(paths), vocabulary).float().log()


def test_repeats_are_merged_before_blanks_are_dropped():
    paths = [[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 3, 3, 3, 3, 3, 3]]
    assert greedy_decode(scores(paths), torch.tensor([8, 8])) == [[1, 1, 2], [3]]


def test_frames_past_the_length_are_not_read():
    paths = [[1, 2, 3, 3], [0, 1, 2, 3]]
    assert greedy_decode(scores(paths), torch.tensor([2, 0])) == [[1, 2], []]


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_groupby(seed):
    torch.manual_seed(seed)
    log_probs = torch.randn(8, 40, 5).log_softmax(-1)
    lengths = torch.randint(0, 41, (8,))
    expected = [
        [k for k, _ in itertools.groupby(path[:length]) if k]
        for path, length in zip(log_probs.argmax(-1).tolist(), lengths.tolist(), strict=True)
    ]
    assert greedy_decode(log_probs, lengths) == expected


@pytest.mark.parametrize("lengths", [[9], [-1], [3, 3]])
def test_impossible_lengths_are_refused(lengths):
    with pytest.raises(ValueError):
        greedy_decode(scores([[1, 2, 3]]), torch.tensor(lengths))
