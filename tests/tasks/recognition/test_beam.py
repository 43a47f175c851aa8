"""Prefix beam search: exact with a wide beam, and never worse than the best path then."""

import itertools

import numpy as np
import pytest
import torch

from vqbn.nets.best_path import greedy_decode
from vqbn.tasks.recognition.beam import beam_decode


def posteriors(seed, frames, vocabulary, sharpness=1.0):
    """Random log posteriors (1, frames, vocabulary)."""
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(1, frames, vocabulary, generator=generator)).log_softmax(-1)


def spell(path):
    """What CTC reads from a path."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def by_definition(log_probs):
    """Symbols → probability, summed over every path."""
    probabilities = {}
    frames = log_probs[0].exp().double().numpy()
    for path in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        probability = np.prod([frames[time, symbol] for time, symbol in enumerate(path)])
        probabilities[spell(path)] = probabilities.get(spell(path), 0) + probability
    return probabilities


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_the_most_probable_symbols(seed):
    log_probs = posteriors(seed, 6, 3)
    probabilities = by_definition(log_probs)
    found = tuple(beam_decode(log_probs, torch.tensor([6]), 200)[0])
    assert probabilities[found] == pytest.approx(max(probabilities.values()))
    assert probabilities[found] >= probabilities[tuple(greedy_decode(log_probs, torch.tensor([6]))[0])]


def test_paths_of_the_same_symbols_add_up():
    # The best path is blank, blank (0.36); "1" is spelt by three paths (0.64).
    log_probs = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    assert greedy_decode(log_probs, torch.tensor([2])) == [[]]
    assert beam_decode(log_probs, torch.tensor([2]), 4) == [[1]]


def test_equal_symbols_need_a_blank_between_them():
    one, two = [[0, 1], [0, 1], [0, 1]], [[0, 1], [1, 0], [0, 1]]
    log_probs = torch.tensor([one, two], dtype=torch.float32).log()
    assert beam_decode(log_probs, torch.tensor([3, 3]), 3) == [[1], [1, 1]]


@pytest.mark.parametrize("beam", [1, 4, 16])
def test_sure_posteriors_are_read_as_the_best_path_and_padding_is_not_read(beam):
    log_probs = torch.cat([posteriors(seed, 40, 6, 30.0) for seed in range(3)])
    lengths = torch.tensor([40, 17, 0])
    expected = greedy_decode(log_probs, lengths)
    assert beam_decode(log_probs, lengths, beam) == expected
    log_probs[1, 17:] = float("nan")
    assert beam_decode(log_probs, lengths, beam) == expected


def test_impossible_shapes_and_beams_are_refused():
    log_probs = posteriors(0, 5, 3)
    for lengths, beam in (([6], 2), ([-1], 2), ([5, 5], 2), ([5], 0)):
        with pytest.raises(ValueError, match=r"length|expected|beam"):
            beam_decode(log_probs, torch.tensor(lengths), beam)
