"""Outputs in the input's space, where batch normalisation without a projection made another of it."""

import pytest
import torch
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck

MASK = torch.rand(3, 20, generator=torch.Generator().manual_seed(5)) < 0.7


def bottleneck(**options) -> VQBottleneck:
    torch.manual_seed(0)
    defaults = {"projection": False, "normalization": "batch", "num_codebooks": 2, "denormalize": True}
    vq = VQBottleneck(6, 6, 8, codebook_init=1.0, **(defaults | options))
    with torch.no_grad():
        vq.normalization.weight.copy_(torch.tensor([0.5, 2.0, 1.5]))
        vq.normalization.bias.copy_(torch.tensor([1.0, -2.0, 0.5]))
    return vq


def data(seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Far from zero and wide, so that the two spaces differ a lot."""
    return 5 + 3 * torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inverse(vq: VQBottleneck, vectors: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    norm, parts = vq.normalization, vectors.unflatten(-1, (2, 3))
    return ((parts - norm.bias) / norm.weight * (variance + norm.eps).sqrt() + mean).flatten(-2)


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("mask", [None, MASK])
def test_in_training_it_is_the_inverse_by_the_statistics_of_the_batch(update, mask):
    plain, ours = bottleneck(update=update, denormalize=False), bottleneck(update=update)
    real = torch.ones(3, 20, dtype=torch.bool) if mask is None else mask
    for seed in range(4):
        x = data(seed)
        x[~real] = 1e4
        expected, found = plain(x, mask=mask), ours(x, mask=mask)
        assert torch.equal(found.indices, expected.indices)
        assert torch.equal(found.loss, expected.loss)
        vectors = x[real].view(-1, 3)
        undone = inverse(plain, expected.quantized, vectors.mean(0), vectors.var(0, unbiased=False))
        assert torch.allclose(found.quantized[real], undone[real], rtol=1e-4, atol=1e-4)
        assert not found.quantized[~real].any()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_evaluation_it_is_that_by_the_running_ones_and_what_decoding_gives_bit_for_bit(update, dtype):
    ours = bottleneck(update=update)
    for seed in range(30):
        ours(data(seed))
    ours = ours.eval().to(dtype)
    output = ours(data(50), mask=MASK)
    assert output.quantized.dtype == dtype
    decoded = ours.decode_indices(output.indices)
    assert torch.equal(output.quantized, decoded)
    assert not decoded[~MASK].any()
    ours.denormalize = False
    undone = inverse(
        ours, ours.decode_indices(output.indices), ours.normalization.running_mean, ours.normalization.running_var
    )
    assert torch.allclose(decoded[MASK].float(), undone[MASK].float(), rtol=1e-2 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mask", [None, MASK])
def test_gradients_are_straight_through_the_lookup_and_exact_through_the_rest(training, mask):
    vq = bottleneck().double()
    vq(data(0, torch.float64))
    vq.train(training)
    real = torch.ones(3, 20, dtype=torch.bool) if mask is None else mask
    x, upstream = data(1, torch.float64).requires_grad_(), torch.randn(3, 20, 6, dtype=torch.float64)
    statistics = vq.normalization.running_mean.clone(), vq.normalization.running_var.clone()
    output = vq(x, mask=mask)
    (output.quantized * upstream).sum().backward()
    found = [x.grad, vq.normalization.weight.grad, vq.normalization.bias.grad]

    again = x.detach().clone().requires_grad_()
    vq.zero_grad()
    norm, vectors = vq.normalization, again.view(3, 20, 2, 3)
    if training:
        statistics = vectors[real].view(-1, 3).mean(0), vectors[real].view(-1, 3).var(0, unbiased=False)
    mean, variance = statistics
    latents = ((vectors - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias).flatten(-2)
    indices = output.indices.clamp(min=0)
    codewords = torch.cat([vq.codebook[c][indices[..., c]] for c in range(2)], -1)
    quantized = inverse(vq, latents + (codewords - latents).detach(), mean, variance)
    (torch.where(real.unsqueeze(-1), quantized, 0) * upstream).sum().backward()
    for one, other in zip(found, [again.grad, norm.weight.grad, norm.bias.grad], strict=True):
        assert torch.allclose(one, other)
    if not training:
        assert torch.allclose(x.grad, torch.where(real.unsqueeze(-1), upstream, 0)), "to the input as it came"
    assert not x.grad[~real].any()


def test_what_it_says_can_be_subtracted_from_the_input():
    """The residual is then smaller than the input's variance; in the normalised space it is not even near."""
    shares = []
    for denormalize in (True, False):
        torch.manual_seed(0)
        schedule = ReestimationSchedule(5, 20, 5)
        vq = VQBottleneck(4, 4, 64, 1, False, "batch", reestimation=schedule, denormalize=denormalize)
        for _ in range(30):
            vq(2 + 3 * torch.randn(1, 500, 4))
        x = 2 + 3 * torch.randn(1, 500, 4)
        shares.append([((x - mode(x).quantized).square().mean() / x.var()).item() for mode in (vq, vq.eval())])
    assert max(shares[0]) < 0.3
    assert min(shares[1]) > 0.6


@pytest.mark.parametrize("training", [True, False])
def test_what_has_no_code_comes_out_as_it_came_in(training):
    vq = bottleneck(reestimation=ReestimationSchedule(9, 9, 1)).train(training)
    x = data(0).requires_grad_()
    output = vq(x)
    assert torch.equal(output.quantized, x)
    output.quantized.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
    vq = bottleneck().train(training)
    x = data(0)
    x[1, 2, 3], x[0, 0, 0] = float("nan"), 1e20
    quantized = vq(x).quantized
    assert torch.equal(quantized[0, 0], x[0, 0])
    assert torch.equal(quantized[1, 2].isnan(), x[1, 2].isnan())
    assert quantized.flatten()[torch.arange(360) != 20 * 6 + 2 * 6 + 3].isfinite().all()


def test_compiled_it_is_the_same():
    plain, compiled = bottleneck(), bottleneck()
    forward = torch.compile(compiled, fullgraph=True, backend="aot_eager")
    for seed in range(3):
        assert torch.allclose(forward(data(seed)).quantized, plain(data(seed)).quantized, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{"projection": True}, {"normalization": "none"}])
def test_without_an_inverse_it_is_refused(options):
    with pytest.raises(ValueError, match=r"denormalize.*projection=False"):
        bottleneck(**options)


def test_it_trains_in_a_model():
    vq = bottleneck(update="ema", reestimation=ReestimationSchedule(20, 60, 20))
    model = nn.Sequential(nn.Linear(6, 6), vq)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    vq.follow(optimizer)
    losses = []
    for seed in range(150):
        x = data(seed)
        output = model(x)
        loss = (output.quantized - x).square().mean()
        optimizer.zero_grad()
        (loss + output.loss).backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.6 * 10 * x.var()
    assert vq.normalization.weight.abs().min() > 0.2
