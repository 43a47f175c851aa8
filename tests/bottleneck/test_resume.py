"""A training that was stopped goes on as if it had not been."""

import io

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vqbn import ReestimationSchedule, VQBottleneck, parameter_groups

# Update 2 is planned with too few vectors and waits until update 4; then 9 and 14; the rest is plain training.
SCHEDULE = ReestimationSchedule(2, 18, 7, 1.2)
EVENTS = [4, 9, 18]
LAST = 20
# Before, at and after each of them, and where it waits.
STOPS = [1, 2, 3, 4, 5, 8, 9, 10, 17, 18, 19]


class Training:
    """Some updates of a small model, each with `accumulated` forwards, and with an averaged copy."""

    def __init__(self, seed: int, follow: bool, accumulated: int, **options):
        torch.manual_seed(seed)
        vq = VQBottleneck(6, 4, 8, reestimation=SCHEDULE, reservoir_size=30, normalization="batch", **options)
        self.vq = vq
        self.model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), vq)
        self.averaged = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        self.optimizer = torch.optim.Adam(parameter_groups(self.model, 1e-2, 1e-1))
        if follow:
            vq.follow(self.optimizer, self.averaged)
        self.accumulated = accumulated if follow else 1

    def run(self, updates: range) -> list[torch.Tensor]:
        indices = []
        for update in updates:
            self.optimizer.zero_grad()
            for part in range(self.accumulated):
                x = torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(10 * update + part))
                output = self.model(x)
                (output.loss + output.quantized.square().mean()).backward()
                indices.append(output.indices)
            self.optimizer.step()
            self.averaged.update_parameters(self.model)
        return indices

    def save(self) -> io.BytesIO:
        file = io.BytesIO()
        torch.save([part.state_dict() for part in (self.model, self.averaged, self.optimizer)], file)
        return file

    def load(self, file: io.BytesIO) -> None:
        file.seek(0)
        for part, state in zip(
            (self.model, self.averaged, self.optimizer), torch.load(file, weights_only=True), strict=True
        ):
            part.load_state_dict(state)


@pytest.mark.parametrize(
    ("follow", "accumulated", "options"),
    [
        (True, 1, {"update": "gradient"}),
        (True, 2, {"update": "ema", "num_codebooks": 2}),
        (False, 1, {"update": "gradient", "num_codebooks": 2, "seeding": "k-means++"}),
        (False, 1, {"update": "ema", "seeding": "random", "match": False}),
    ],
)
def test_stopped_after_any_update_it_goes_on_bit_for_bit(follow, accumulated, options):
    whole = Training(0, follow, accumulated, **options)
    files, indices = [], []
    for update in range(1, LAST + 1):
        files.append((whole.save(), whole.vq.learner.reservoir.state_dict()))
        indices += whole.run(range(update, update + 1))
    if accumulated == 1:
        assert [event.update for event in whole.vq.reestimations] == EVENTS
    for update in STOPS:
        file, reservoir = files[update - 1]
        restored = Training(update, follow, accumulated, **options)
        restored.run(range(100, 103))
        restored.load(file)
        for name, tensor in restored.vq.learner.reservoir.state_dict().items():
            assert torch.equal(tensor, reservoir[name]), f"{name} of the reservoir, stopped before {update}"
        later = restored.run(range(update, LAST + 1))
        assert all(torch.equal(a, b) for a, b in zip(later, indices[len(indices) - len(later) :], strict=True)), (
            f"assignments, stopped before update {update}"
        )
        for one, other in ((restored.model, whole.model), (restored.averaged, whole.averaged)):
            for name, value in one.state_dict().items():
                assert torch.equal(value, other.state_dict()[name]), f"{name}, stopped before update {update}"


def test_stopped_within_an_update_it_goes_on_bit_for_bit():
    """Without follow, a state saved between two forwards holds what the last left to do."""
    torch.manual_seed(0)
    options = {"codebook_size": 8, "update": "ema", "projection": False, "reservoir_size": 30}
    vq = VQBottleneck(4, 4, **options, reestimation=ReestimationSchedule(3, 3, 1))
    for step in range(9):
        vq(torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(step)))
        restored = VQBottleneck(4, 4, **options, reestimation=ReestimationSchedule(3, 3, 1))
        restored.load_state_dict(vq.state_dict())
        vq = restored
    uninterrupted = VQBottleneck(4, 4, **options, reestimation=ReestimationSchedule(3, 3, 1))
    for step in range(9):
        uninterrupted(torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(step)))
    assert vq.updates == uninterrupted.updates == 8
    assert torch.equal(vq.codebook, uninterrupted.codebook)
    assert torch.equal(vq.ema_counts, uninterrupted.ema_counts)
