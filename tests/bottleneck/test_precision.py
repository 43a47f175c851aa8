"""Half precision, scaled and accumulated gradients."""

import pytest
import torch
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck

DTYPES = [torch.bfloat16, torch.float16]


class Model(nn.Module):
    def __init__(self, **options):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(6, 8)
        self.bottleneck = VQBottleneck(8, 4, 8, codebook_init=1.0, **options)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        output = self.bottleneck(self.encoder(x))
        # Two losses, of which a wrong scale of either would change the sum.
        return 30 * self.head(output.quantized).float().square().mean() + output.loss, output


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_scaled_gradients_in_half_precision_are_in_proportion(dtype, update, normalization):
    x = torch.randn(16, 20, 6, generator=torch.Generator().manual_seed(1))
    plain, half = (Model(update=update, normalization=normalization) for _ in range(2))
    loss, expected = plain(x)
    loss.backward()
    # Codes that rounding in the encoder changes would change the gradients by more than their scale.
    half.bottleneck.learner.learn = lambda latents, codebook, valid, sampling: (expected.indices.view(-1, 1), True)

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    optimizer = torch.optim.SGD(half.parameters(), 0.0)
    with torch.autocast("cpu", dtype=dtype):
        loss, output = half(x)
    assert output.loss.dtype == output.quantized.dtype == torch.float32
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    found = gradients(half)
    largest = max(gradient.norm() for gradient in gradients(plain).values())
    for name, gradient in gradients(plain).items():
        # A bias before batch normalisation has no gradient but rounding.
        assert (found[name] - gradient).norm() < 0.03 * gradient.norm() + 1e-4 * largest, name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("schedule", [None, ReestimationSchedule(9, 9, 1)])
def test_autocast_changes_no_bit_of_what_the_bottleneck_computes(dtype, schedule):
    """Before the first clustering too, where `quantized` is the projection itself."""
    x = 5 + torch.randn(4, 50, 8, generator=torch.Generator().manual_seed(1))
    plain, half = (Model(normalization="batch", reestimation=schedule).bottleneck for _ in range(2))
    expected = plain(x)
    with torch.autocast("cpu", dtype=dtype):
        found = half(x)
    for name in ("quantized", "indices", "loss"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_accumulated_halves_make_the_whole(update):
    x = torch.randn(4, 10, 6, generator=torch.Generator().manual_seed(1))
    models, optimizers = [Model(update=update) for _ in range(2)], []
    for model in models:
        # An update is a step from here on: the codebook doesn't move between the halves.
        optimizers.append(torch.optim.SGD(model.parameters(), 0.1))
        model.bottleneck.follow(optimizers[-1])
    whole, halves = models
    whole(x)[0].backward()
    for part in x.chunk(2):
        (halves(part)[0] / 2).backward()
    for name, gradient in gradients(whole).items():
        assert torch.allclose(gradients(halves)[name], gradient, atol=1e-5), name
    before = whole.bottleneck.codebook.clone()
    for optimizer in optimizers:
        optimizer.step()
    assert torch.allclose(whole.bottleneck.codebook, halves.bottleneck.codebook, atol=1e-6)
    assert not torch.equal(whole.bottleneck.codebook, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_in_half_precision_it_clusters_and_learns(dtype, update):
    model = Model(update=update, normalization="batch", reestimation=ReestimationSchedule(5, 15, 5), reservoir_size=300)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    model.bottleneck.follow(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=8)
    generator = torch.Generator().manual_seed(0)
    skipped = 0
    for _ in range(40):
        x = torch.randn(8, 10, 6, generator=generator)
        with torch.autocast("cpu", dtype=dtype):
            loss, output = model(x)
        optimizer.zero_grad()
        before = model.bottleneck.updates
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        skipped += model.bottleneck.updates == before
    assert model.bottleneck.updates == 40 - skipped
    if dtype == torch.float16:
        assert skipped > 0, "a scale that never overflows proves nothing"
    assert [event.update for event in model.bottleneck.reestimations] == [5, 10, 15]
    assert all(value.isfinite().all() for value in model.state_dict().values() if value.is_floating_point())
    assert model.bottleneck.codebook.dtype == torch.float32
    assert len(output.indices.unique()) >= 6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_a_module_of_another_type_works(dtype, update):
    model = Model(update=update, normalization="batch", reestimation=ReestimationSchedule(3, 3, 1)).to(dtype)
    x = torch.randn(4, 300, 6, dtype=dtype)
    for _ in range(5):
        output = model.bottleneck(model.encoder(x))
        (output.loss + output.quantized.sum()).backward()
    assert output.quantized.dtype == dtype
    assert output.loss.dtype == (torch.float32 if dtype == torch.bfloat16 else dtype)
    # More than half precision could count.
    assert model.bottleneck.learner.state()[1]["counts"].sum() == 1200
    assert [event.update for event in model.bottleneck.reestimations] == [3]
