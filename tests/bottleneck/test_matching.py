"""New codewords under old numbers."""

import pytest
import torch

from vqbn.bottleneck.matching import match_codes


@pytest.mark.parametrize("size", [1, 2, 100])
def test_moved_a_little_every_codeword_keeps_its_number(size):
    torch.manual_seed(0)
    old = torch.randn(size, 6)
    new = (old + 1e-3 * torch.randn(size, 6))[torch.randperm(size)]
    assert torch.allclose(new[match_codes(new, old)], old, atol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_are_always_a_permutation(seed):
    torch.manual_seed(seed)
    new, old = torch.randn(300, 4), 3 * torch.randn(300, 4) + 5
    assert torch.equal(match_codes(new, old).sort().values, torch.arange(300))


def test_equal_codewords_are_no_obstacle():
    assert torch.equal(match_codes(torch.zeros(50, 3), torch.ones(50, 3)).sort().values, torch.arange(50))


def test_numbers_are_nearer_to_the_old_than_by_chance():
    torch.manual_seed(0)
    new, old = torch.randn(200, 3), torch.randn(200, 3)
    matched = (new[match_codes(new, old)] - old).norm(dim=1).mean()
    assert matched < 0.6 * (new - old).norm(dim=1).mean()
