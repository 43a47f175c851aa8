"""What is left out on a CPU where every vector has a code changes nothing, to the last bit."""

import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck


def train(**options) -> tuple[dict, list]:
    """Some updates, with whole batches and padded ones; what came out of them and what is left."""
    torch.manual_seed(0)
    bottleneck = VQBottleneck(6, 4, 16, reestimation=ReestimationSchedule(3, 9, 3), reservoir_size=50, **options)
    bottleneck.follow(optimizer := torch.optim.Adam(bottleneck.parameters(), 1e-2))
    found = []
    for step in range(12):
        x = torch.randn(3, 7, 6, generator=torch.Generator().manual_seed(step), requires_grad=True)
        lengths = torch.tensor([7, 7, 7]) if step % 3 else torch.tensor([7, 3, 5])
        output = bottleneck(x, lengths=lengths)
        optimizer.zero_grad()
        (output.quantized.square().sum() + output.loss).backward()
        optimizer.step()
        found += [*output, x.grad]
    bottleneck.eval()
    output = bottleneck(torch.randn(2, 5, 6))
    return bottleneck.state_dict(), found + list(output)


@pytest.mark.parametrize(
    "options",
    [
        {"update": "gradient", "normalization": "batch"},
        {"update": "ema"},
        {"update": "gradient", "num_codebooks": 2},
    ],
)
def test_short_cuts_change_no_bit(options, monkeypatch):
    state, found = train(**options)
    for module in ("quantizer", "learner"):
        monkeypatch.setattr(f"vqbn.bottleneck.{module}.seen_to_be_usable", lambda vectors, valid, waiting: False)
    expected_state, expected = train(**options)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    for name, value in expected_state.items():
        assert torch.equal(value, state[name]), name


def test_a_vector_that_is_not_finite_takes_the_long_way():
    torch.manual_seed(0)
    bottleneck = VQBottleneck(4, 4, 8, projection=False)
    x = torch.randn(5, 4)
    x[1, 2], x[3, 0] = torch.inf, -torch.inf
    for training in (True, False):
        indices = bottleneck.train(training)(x).indices[:, 0]
        assert ((indices == -1) == torch.tensor([False, True, False, True, False])).all()
