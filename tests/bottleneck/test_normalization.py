"""Batch normalisation of padded batches."""

import pytest
import torch

from vqbn.bottleneck.normalization import MaskedBatchNorm
from vqbn.bottleneck.padding import seen_to_be_usable


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_it_equals_torchs_where_nothing_is_padded(offset):
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(5), torch.nn.BatchNorm1d(5)
    with torch.no_grad():
        for norm in (ours, theirs):
            norm.weight.copy_(torch.arange(1.0, 6.0))
            norm.bias.copy_(torch.arange(5.0))
    for _ in range(3):
        x = torch.randn(40, 5) + offset
        one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        upstream = torch.randn(40, 5)
        (ours(one) * upstream).sum().backward()
        (theirs(other) * upstream).sum().backward()
        assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3)
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-4)
        assert torch.allclose(ours.running_mean, theirs.running_mean)
        assert torch.allclose(ours.running_var, theirs.running_var, rtol=1e-4)
    assert torch.allclose(ours(x, learning=False), theirs.eval()(x), rtol=1e-4, atol=1e-3)


def test_it_is_that_of_the_real_vectors_alone():
    torch.manual_seed(0)
    padded, alone = MaskedBatchNorm(5), MaskedBatchNorm(5)
    x = torch.randn(40, 5)
    valid = torch.rand(40) < 0.5
    x[~valid] = 1e6
    assert torch.allclose(padded(x, valid)[valid], alone(x[valid]), atol=1e-6)
    assert torch.allclose(padded.running_mean, alone.running_mean)
    assert torch.allclose(padded.running_var, alone.running_var)


def test_gradients_are_right():
    torch.manual_seed(0)
    norm = MaskedBatchNorm(3).double()
    valid = torch.tensor([True, False, True, True, False, True])
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: torch.where(valid.unsqueeze(1), norm(x, valid), 0), (x,))


def test_a_batch_without_vectors_changes_no_statistic():
    norm = MaskedBatchNorm(3)
    norm(torch.randn(8, 3) + 4)
    before = norm.running_mean.clone(), norm.running_var.clone()
    assert norm(torch.randn(4, 3), torch.zeros(4, dtype=torch.bool)).isfinite().all()
    assert norm(torch.randn(0, 3)).shape == (0, 3)
    assert torch.equal(norm.running_mean, before[0])
    assert torch.equal(norm.running_var, before[1])


@pytest.mark.parametrize("huge", [1e20, -1e20, 3e38, 1e16])
@pytest.mark.parametrize("whole", [False, True])
def test_values_whose_squares_float32_cannot_hold_enter_no_statistic(huge, whole):
    """Or the running variance would be infinite, and from the next batch on not a number."""
    torch.manual_seed(0)
    norm, expected = MaskedBatchNorm(3), MaskedBatchNorm(3)
    for step in range(4):
        x = torch.randn(20, 3)
        valid = torch.ones(20, dtype=torch.bool)
        if step == 1:
            # Two that would cancel out in a sum.
            x[4, 0], x[7, 0] = huge, -huge
            valid[[4, 7]] = False
        found = norm(x, whole=whole and seen_to_be_usable(x, None, waiting=True))
        assert torch.allclose(found[valid], expected(x, valid)[valid])
        assert torch.allclose(norm.running_mean, expected.running_mean)
        assert torch.allclose(norm.running_var, expected.running_var)


def test_inverted_it_gives_the_vectors_back():
    torch.manual_seed(0)
    norm = MaskedBatchNorm(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 2.0, -1.5]))
        norm.bias.copy_(torch.arange(3.0))
    for learning in (True, False):
        x = 5 + 3 * torch.randn(40, 3)
        normalized, mean, variance = norm.with_statistics(x, learning=learning)
        assert torch.allclose(norm.invert(normalized, mean, variance), x, atol=1e-5)
        if learning:
            assert torch.allclose(mean, x.mean(0))
            assert torch.allclose(variance, x.var(0, unbiased=False))
        else:
            assert torch.equal(normalized, norm(x, learning=False))


def test_a_single_vector_is_no_error():
    norm = MaskedBatchNorm(3)
    assert torch.equal(norm(torch.randn(1, 3)), torch.zeros(1, 3))
    assert norm.running_var.isfinite().all()
