"""Whole compiled graphs."""

import os

import pytest
import torch
import torch._dynamo
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck, parameter_groups

STEPS = 100
SCHEDULE = ReestimationSchedule(20, 70, 50)

slow = pytest.mark.skipif(not os.environ.get("VQBN_SLOW_TESTS"), reason="takes minutes; VQBN_SLOW_TESTS=1 runs it")


class Model(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.encoder = nn.Linear(6, 6)
        self.bottleneck = VQBottleneck(
            6, 4, 8, normalization="batch", reestimation=SCHEDULE, reservoir_size=60, **options
        )
        self.head = nn.Linear(4, 3)

    def forward(self, x, lengths):
        output = self.bottleneck(self.encoder(x), lengths)
        return self.head(output.quantized), output.loss, output.indices


def train(backend: str | None, follow: bool, **options) -> tuple[Model, list]:
    torch.manual_seed(0)
    model = Model(**options)
    optimizer = torch.optim.Adam(parameter_groups(model, 1e-3, 1e-2))
    if follow:
        model.bottleneck.follow(optimizer)
    forward = torch.compile(model, fullgraph=True, backend=backend) if backend else model
    generator = torch.Generator().manual_seed(1)
    seen = []
    for _ in range(STEPS):
        x = torch.randn(4, 5, 6, generator=generator)
        lengths = torch.randint(0, 6, (4,), generator=generator)
        output, loss, indices = forward(x, lengths)
        optimizer.zero_grad()
        (loss + output.square().mean()).backward()
        optimizer.step()
        seen.append((loss.detach(), indices))
    model.eval()
    with torch.no_grad():
        for _ in range(2):
            seen.append(forward(x, lengths)[1:])
    return model, seen


@pytest.mark.parametrize(
    ("backend", "follow", "options"),
    [
        # The whole of `torch.compile` but for C++, which inductor needs a minute to compile.
        ("aot_eager", True, {"update": "gradient"}),
        pytest.param("inductor", True, {"update": "gradient", "num_codebooks": 2}, marks=slow),
        pytest.param("inductor", False, {"update": "ema"}, marks=slow),
        ("aot_eager", False, {"update": "gradient", "num_codebooks": 2}),
        ("aot_eager", True, {"update": "ema", "num_codebooks": 2}),
        ("aot_eager", False, {"update": "ema"}),
    ],
)
def test_one_graph_trains_across_clusterings_and_one_evaluates(backend, follow, options):
    plain, expected = train(None, follow, **options)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled, found = train(backend, follow, **options)
    # One graph each for training and evaluation: no break, no second compilation.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    assert not torch._dynamo.utils.counters["graph_break"]
    assert [event.update for event in compiled.bottleneck.reestimations] == [20, 70]
    assert compiled.bottleneck.updates == plain.bottleneck.updates == STEPS - (not follow)
    for step, ((loss, indices), (other_loss, other_indices)) in enumerate(zip(expected, found, strict=True)):
        assert torch.equal(indices, other_indices), step
        assert torch.allclose(loss, other_loss, rtol=1e-3, atol=1e-6), step
    assert torch.allclose(plain.bottleneck.codebook, compiled.bottleneck.codebook, rtol=1e-3, atol=1e-4)
    state, other = plain.bottleneck.learner.state(), compiled.bottleneck.learner.state()
    assert state[0]["clock"] == other[0]["clock"]


def test_the_operators_keep_torchs_rules():
    vq = VQBottleneck(6, 4, 8, update="ema")
    latents, valid = torch.randn(5, 1, 4), torch.ones(5, dtype=torch.bool)
    codebook = vq.codebook
    number, effects = vq.learner.number, torch.zeros(1)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(
        torch.ops.vqbn.assign, (number, latents, codebook, valid, vq.has_codewords), test_utils=checks
    )
    torch.library.opcheck(torch.ops.vqbn.learn, (number, latents, codebook, None, True, effects), test_utils=checks)
    changed = [tensor.clone() for tensor in (codebook, vq.has_codewords, vq.ema_counts, vq.ema_sums)]
    arguments = (number, *changed, True, effects)
    torch.library.opcheck(torch.ops.vqbn.complete_update, arguments, test_utils=checks)
