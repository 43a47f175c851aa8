"""Batch normalisation of padded batches."""

import pytest
import torch

from vqbn.bottleneck.normalization import MaskedBatchNorm


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


def test_a_single_vector_is_no_error():
    norm = MaskedBatchNorm(3)
    assert torch.equal(norm(torch.randn(1, 3)), torch.zeros(1, 3))
    assert norm.running_var.isfinite().all()
