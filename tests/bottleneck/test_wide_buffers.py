"""What is added up in small steps keeps its digits in modules of half precision."""

import copy

import pytest
import torch
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck
from vqbn.bottleneck.normalization import MaskedBatchNorm

HALVES = [torch.bfloat16, torch.float16]
CONVERSIONS = {
    "bfloat16": lambda model: model.bfloat16(),
    "half": lambda model: model.half(),
    "to": lambda model: model.to("cpu", torch.bfloat16),
    "to_like": lambda model: model.to(torch.zeros(1, dtype=torch.float16)),
    "type": lambda model: model.type(torch.bfloat16),
    "twice": lambda model: model.bfloat16().half(),
    "a copy": lambda model: copy.deepcopy(model.half()),
}


def trained(**options) -> nn.Sequential:
    """A model with a bottleneck whose averages need more digits than half precision has."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), VQBottleneck(4, 4, 8, update="ema", normalization="batch", **options))
    for _ in range(5):
        model(torch.randn(2, 30, 4))
    return model


def wide(model: nn.Module) -> dict[str, torch.Tensor]:
    names = ("ema_counts", "ema_sums", "running_mean", "running_var")
    return {name: buffer.clone() for name, buffer in model.named_buffers() if name.rsplit(".")[-1] in names}


@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_a_conversion_changes_no_digit_of_them(conversion):
    model = trained()
    before = wide(model)
    assert len(before) == 4
    model = CONVERSIONS[conversion](model)
    assert model[0].weight.dtype == model[1].codebook.dtype == model[1].normalization.weight.dtype != torch.float32
    for name, buffer in wide(model).items():
        assert buffer.dtype == torch.float32, name
        assert torch.equal(buffer, before[name]), name
    assert all(buffer.dtype == torch.float64 for buffer in wide(model.double()).values())
    assert all(buffer.dtype == torch.float32 for buffer in wide(model.half()).values())


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("assign", [False, True])
def test_state_dicts_keep_them(dtype, assign):
    model = trained().to(dtype)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert state["1.ema_sums"].dtype == torch.float32
    restored = trained().to(dtype)
    restored[1].ema_sums.zero_()
    restored.load_state_dict(state, assign=assign)
    for name, buffer in wide(model).items():
        assert torch.equal(buffer, wide(restored)[name]), name
    # Of a state that was cast as a whole the digits are lost; those to come are not.
    cast = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
    restored.load_state_dict(cast, assign=assign)
    assert all(buffer.dtype == torch.float32 for buffer in wide(restored).values())
    assert restored(torch.randn(2, 5, 4, dtype=dtype)).quantized.dtype == dtype


def test_they_are_wide_where_half_precision_is_the_default_type():
    torch.set_default_dtype(torch.bfloat16)
    try:
        bottleneck = VQBottleneck(4, 4, 8, update="ema", normalization="batch")
    finally:
        torch.set_default_dtype(torch.float32)
    assert bottleneck.codebook.dtype == torch.bfloat16
    assert [buffer.dtype for buffer in wide(bottleneck).values()] == [torch.float32] * 4


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("schedule", [None, ReestimationSchedule(3, 3, 1)])
def test_codewords_move_to_where_the_data_are(dtype, schedule):
    torch.manual_seed(0)
    options = {"projection": False, "update": "ema", "ema_decay": 0.995, "reestimation": schedule, "reservoir_size": 64}
    bottleneck = VQBottleneck(2, 2, 1, **options).to(dtype)
    with torch.no_grad():
        bottleneck.codebook.fill_(2.0)
        bottleneck.ema_sums.fill_(2.0)
    for step in range(800):
        # After the clustering the data move, and the codeword has to follow in steps that half precision would lose.
        bottleneck(torch.full((1, 16, 2), 2.0 if step < 4 else 2.2, dtype=dtype))
    assert (bottleneck.codebook.float() - 2.2).abs().max() < 0.02


@pytest.mark.parametrize("dtype", HALVES)
def test_running_statistics_come_to_those_of_the_data(dtype):
    torch.manual_seed(0)
    norm = MaskedBatchNorm(3, momentum=0.005).to(dtype)
    for _ in range(1000):
        x = (2.2 + 0.5 * torch.randn(40, 3)).to(dtype)
        assert norm(x).dtype == dtype
    assert (norm.running_mean - 2.2).abs().max() < 0.03
    assert (norm.running_var - 0.25).abs().max() < 0.03
    assert norm(x, learning=False).dtype == dtype
