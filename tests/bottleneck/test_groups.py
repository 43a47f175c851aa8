"""Optimiser groups."""

import pytest
import torch
from torch import nn

from vqbn import LinearBottleneck, VQBottleneck, parameter_groups


def test_codebooks_have_a_learning_rate_of_their_own_and_no_decay():
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": VQBottleneck(4, 4, 8), "c": nn.Sequential(VQBottleneck(4, 4, 9))})
    groups = parameter_groups(model, 1e-3, 1e-2, weight_decay=0.1)
    optimizer = torch.optim.AdamW(groups)
    assert [(group["name"], group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [
        ("model", 1e-3, 0.1),
        ("codebooks", 1e-2, 0.0),
    ]
    assert [id(p) for p in groups[1]["params"]] == [id(model["b"].codebook), id(model["c"][0].codebook)]
    everything = [id(p) for group in groups for p in group["params"]]
    assert sorted(everything) == sorted(id(p) for p in model.parameters())


def test_without_a_rate_of_its_own_the_codebook_takes_the_other():
    assert [group["lr"] for group in parameter_groups(VQBottleneck(4, 4, 8), 1e-3)] == [1e-3, 1e-3]


def test_models_without_codebook_parameters_have_one_group():
    for model in (LinearBottleneck(4, 4), VQBottleneck(4, 4, 8, update="ema")):
        (group,) = parameter_groups(model, 1e-3, 1e-2)
        assert len(group["params"]) == 2


def test_a_shared_bottleneck_appears_once():
    vq = VQBottleneck(4, 4, 8, projection=False)
    (group,) = parameter_groups(nn.ModuleList([vq, vq]), 1e-3)
    assert len(group["params"]) == 1


@pytest.mark.parametrize("options", [{"learning_rate": -1.0}, {"codebook_learning_rate": -1.0}, {"weight_decay": -1.0}])
def test_negative_values_are_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        parameter_groups(VQBottleneck(4, 4, 8), **({"learning_rate": 1e-3} | options))
