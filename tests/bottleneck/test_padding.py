"""Padding enters nothing."""

import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck
from vqbn.bottleneck.padding import valid_positions

VARIANTS = [
    {"update": "gradient", "normalization": "batch"},
    {"update": "ema", "normalization": "batch", "num_codebooks": 2},
    {"update": "ema", "projection": False, "input_dim": 4, "normalization": "batch", "num_codebooks": 2},
    {"update": "gradient", "normalization": "none", "num_codebooks": 2},
]


def train(variant: dict, batches: list, seed: int) -> tuple[list, dict]:
    """All that some updates over (x, mask) leave: outputs, losses and gradients at real positions, and the state."""
    torch.manual_seed(seed)
    options = {"input_dim": 6, "code_dim": 4, "codebook_size": 8, "reservoir_size": 30} | variant
    vq = VQBottleneck(**options, reestimation=ReestimationSchedule(3, 9, 3))
    optimizer = torch.optim.Adam(vq.parameters(), 1e-2)
    vq.follow(optimizer)
    results = []
    for x, mask in batches:
        x = x[..., : vq.input_dim].clone().requires_grad_()
        output = vq(x, mask=mask)
        optimizer.zero_grad()
        (output.loss + (output.quantized + 1).square().sum()).backward()
        gradients = [p.grad.clone() for p in vq.parameters()]
        optimizer.step()
        assert not output.quantized[~mask].any()
        assert (output.indices[~mask] == -1).all()
        assert not x.grad[~mask].any()
        real = mask.flatten()
        rows = [output.quantized.flatten(0, -2)[real], output.indices.flatten(0, -2)[real], x.grad.flatten(0, -2)[real]]
        results.append([*rows, output.loss, *gradients])
    assert [event.update for event in vq.reestimations] == [3, 6, 9]
    state = dict(vq.state_dict())
    values, tensors = vq.learner.state()
    values["clock"]["pending"] = None
    return results, state | tensors


def data(seed: int) -> list:
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(10):
        lengths = torch.randint(0, 8, (5,), generator=generator)
        x = torch.randn(5, 7, 6, generator=generator)
        batches.append((x, torch.arange(7) < lengths.unsqueeze(1)))
    return batches


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("rubbish", [1e4, float("nan"), float("inf")])
def test_what_stands_in_the_padding_changes_no_bit(variant, rubbish):
    batches = data(0)
    other = [(torch.where(mask.unsqueeze(-1), x, rubbish), mask) for x, mask in batches]
    results, state = train(variant, batches, 1)
    results_of_other, state_of_other = train(variant, other, 1)
    for one, two in zip(results, results_of_other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    for name, value in state.items():
        equal = torch.equal(value, state_of_other[name]) if torch.is_tensor(value) else value == state_of_other[name]
        assert equal, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_how_much_padding_there_is_and_where_changes_nothing(variant):
    batches = data(2)
    generator = torch.Generator().manual_seed(3)
    spread = []
    for x, mask in batches:
        # The same real vectors in the same order, at random places of a larger batch.
        places = torch.zeros(9, 11, dtype=torch.bool).view(-1)
        places[torch.randperm(99, generator=generator)[: mask.sum()]] = True
        larger = torch.full((99, 6), 7.0)
        larger[places] = x[mask]
        spread.append((larger.view(9, 11, 6), places.view(9, 11)))
    results, state = train(variant, batches, 1)
    results_of_other, state_of_other = train(variant, spread, 1)
    for one, two in zip(results, results_of_other, strict=True):
        assert torch.equal(one[1], two[1]), "indices"
        assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(one, two, strict=True))
    for name, value in state.items():
        if torch.is_tensor(value) and name != "_extra_state":
            assert torch.allclose(value.double(), state_of_other[name].double(), rtol=1e-4, atol=1e-6), name


def test_lengths_are_a_mask():
    x = torch.randn(3, 5, 6)
    torch.manual_seed(0)
    vq = VQBottleneck(6, 4, 8).eval()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    by_lengths, by_mask = vq(x, lengths=torch.tensor([5, 2, 0])), vq(x, mask=mask)
    for lengths in ([5, 2, 0], (5, 2, 0), torch.tensor([5, 2, 0]).numpy()):
        assert torch.equal(valid_positions(x, lengths=lengths), mask)
    assert valid_positions(x[:0], lengths=[]).shape == (0, 5)
    assert all(torch.equal(a, b) for a, b in zip(by_lengths, by_mask, strict=True))
    assert valid_positions(x) is None


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"lengths": torch.tensor([1, 2])}, ValueError, "batch of 3"),
        ({"lengths": torch.tensor([1, 2, 6])}, ValueError, r"0\.\.5"),
        ({"lengths": torch.tensor([1, -2, 5])}, ValueError, r"0\.\.5"),
        ({"lengths": torch.tensor([1.0, 0.5, 1.0])}, TypeError, "integers"),
        ({"lengths": [1.0, 0.5, 1.0]}, TypeError, "integers"),
        ({"lengths": [1, 2]}, ValueError, "batch of 3"),
        ({"lengths": [1, [2], 3]}, TypeError, r"\[1, \[2\], 3\]"),
        ({"lengths": 3}, TypeError, "one per sequence"),
        ({"mask": [[True] * 5] * 3}, TypeError, "bool tensor .* not list"),
        ({"mask": torch.ones(3, 4, dtype=torch.bool)}, ValueError, r"\(3, 5\)"),
        ({"mask": torch.ones(3, 5)}, TypeError, "bool"),
        ({"mask": torch.ones(3, 5, dtype=torch.bool), "lengths": torch.tensor([1, 2, 3])}, ValueError, "not both"),
    ],
)
def test_masks_and_lengths_that_do_not_fit_are_refused(arguments, error, named):
    with pytest.raises(error, match=named):
        valid_positions(torch.randn(3, 5, 6), **arguments)


def test_lengths_need_a_sequence_axis():
    with pytest.raises(ValueError, match="mask"):
        valid_positions(torch.randn(3, 5, 2, 6), lengths=torch.tensor([1, 2, 3]))
