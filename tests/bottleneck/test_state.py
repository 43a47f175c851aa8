"""Saving, copying, and refusing what was damaged."""

import copy
import dataclasses
import io
import pickle

import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from torch.optim.swa_utils import AveragedModel

from vqbn import ReestimationSchedule, VQBottleneck
from vqbn.bottleneck.state import pack, unpack

VARIANTS = [
    {"update": "gradient", "normalization": "batch"},
    {"update": "ema", "num_codebooks": 2},
    {"update": "ema", "projection": False, "input_dim": 4, "normalization": "batch"},
    {"update": "gradient", "reestimation": None},
]


def bottleneck(seed: int = 0, **options) -> VQBottleneck:
    torch.manual_seed(seed)
    defaults = {"input_dim": 6, "code_dim": 4, "codebook_size": 8, "reservoir_size": 40}
    return VQBottleneck(**(defaults | {"reestimation": ReestimationSchedule(4, 40, 5)} | options))


def train(vq: VQBottleneck, steps: range) -> list:
    return [vq(torch.randn(3, 4, vq.input_dim, generator=torch.Generator().manual_seed(step))) for step in steps]


def assert_same_future(one: VQBottleneck, other: VQBottleneck) -> None:
    for a, b in zip(train(one, range(50, 62)), train(other, range(50, 62)), strict=True):
        assert torch.equal(a.quantized, b.quantized)
        assert torch.equal(a.indices, b.indices)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def through_torch(vq):
    file = io.BytesIO()
    torch.save(vq.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def through_safetensors(vq):
    return safetensors.torch.load(safetensors.torch.save(vq.state_dict()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("save", [through_torch, through_safetensors])
@pytest.mark.parametrize("steps", [0, 2, 11])
def test_a_saved_state_continues_in_a_new_object(variant, save, steps):
    vq = bottleneck(**variant)
    train(vq, range(steps))
    restored = bottleneck(seed=1, **variant)
    train(restored, range(20, 27))
    assert restored.load_state_dict(save(vq), strict=True)
    assert_same_future(vq, restored)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda vq: pickle.loads(pickle.dumps(vq))])
def test_copies_are_equal_and_apart(variant, duplicate):
    vq = bottleneck(**variant)
    train(vq, range(11))
    twin, third = duplicate(vq), duplicate(vq)
    train(vq, range(11, 20))
    assert_same_future(twin, third)


def test_the_extra_state_is_one_row_of_bytes():
    vq = bottleneck()
    train(vq, range(6))
    extra = vq.state_dict()["_extra_state"]
    assert extra.dtype == torch.uint8
    assert extra.dim() == 1
    assert len(extra) < 40 * 4 * 4 + 12_000


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_length_depends_on_the_arguments_alone(variant):
    vq, lengths = bottleneck(**variant), set()
    for step in range(45):
        lengths.add(len(vq.get_extra_state()))
        train(vq, range(step, step + 1))
    restored = bottleneck(seed=1, **variant)
    restored.load_state_dict(vq.state_dict())
    assert lengths == {len(restored.get_extra_state())}


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_distributed_checkpoint_loads_in_place(variant, tmp_path):
    vq = bottleneck(**variant)
    train(vq, range(11))
    dcp.save(vq.state_dict(), checkpoint_id=tmp_path)
    restored = bottleneck(seed=1, **variant)
    state = restored.state_dict()
    dcp.load(state, checkpoint_id=tmp_path)
    restored.load_state_dict(state)
    assert_same_future(vq, restored)


def of_format_1(vq: VQBottleneck, monkeypatch) -> dict:
    """Its state as the first version wrote it."""
    values, tensors = vq.learner.state()
    del tensors["reestimations"], values["clusterings"]
    values["reestimations"] = [dataclasses.asdict(event) for event in vq.reestimations]
    for event in values["reestimations"]:
        del event["seconds"]
    with monkeypatch.context() as patch:
        patch.setattr("vqbn.bottleneck.state.VERSION", 1)
        state = vq.state_dict() | {"_extra_state": pack(values, tensors)}
    del state["has_codewords"]
    return state


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [0, 2, 11])
def test_a_state_of_the_first_format_goes_on(variant, steps, monkeypatch):
    vq = bottleneck(**variant)
    train(vq, range(steps))
    restored = bottleneck(seed=1, **variant)
    train(restored, range(20, 27))
    restored.load_state_dict(of_format_1(vq, monkeypatch), strict=True)
    assert restored.has_codewords == vq.has_codewords == vq.quantizing
    assert_same_future(vq, restored)


def test_a_long_log_is_cut_and_clusterings_go_on_as_if_it_were_not(monkeypatch):
    monkeypatch.setattr("vqbn.bottleneck.reestimation._KEPT", 2)
    vq = bottleneck()
    train(vq, range(20))
    restored = bottleneck()
    restored.load_state_dict(vq.state_dict())
    assert [event.update for event in vq.reestimations] == [4, 9, 14, 19]
    assert [event.update for event in restored.reestimations] == [14, 19]
    assert_same_future(vq, restored)


@pytest.mark.parametrize("where", [0, 5, 30, 1000, -1])
def test_a_damaged_state_is_refused(where):
    vq = bottleneck()
    train(vq, range(2))
    state = vq.state_dict()
    state["_extra_state"] = state["_extra_state"].clone()
    state["_extra_state"][where] ^= 1
    with pytest.raises(RuntimeError, match="extra state of a VQBottleneck"):
        bottleneck().load_state_dict(state)


def test_a_cut_averaged_or_cast_state_is_refused():
    one, other = bottleneck(), bottleneck()
    train(one, range(6))
    train(other, range(9))
    extra, more = one.get_extra_state(), other.get_extra_state()
    n = min(len(extra), len(more))
    mean = ((extra[:n].int() + more[:n].int()) // 2).to(torch.uint8)
    for wrong in (extra[:-1], extra[:10], mean, extra.float(), extra.view(1, -1), None, torch.empty(0).byte()):
        with pytest.raises(RuntimeError, match="extra state of a VQBottleneck"):
            bottleneck().set_extra_state(wrong)


def test_the_state_of_another_bottleneck_is_refused():
    vq = bottleneck()
    train(vq, range(2))
    for options, named in (
        ({"codebook_size": 9}, "size mismatch"),
        ({"reservoir_size": 9}, "capacity"),
        ({"reestimation": None}, "ReestimationSchedule"),
        ({"update": "ema"}, "Missing key"),
    ):
        with pytest.raises(RuntimeError, match=named):
            bottleneck(**options).load_state_dict(vq.state_dict())
    state = vq.state_dict()
    del state["_extra_state"]
    with pytest.raises(RuntimeError, match="_extra_state"):
        bottleneck().load_state_dict(state)


@pytest.mark.filterwarnings("ignore:the codewords of this copy")
def test_a_plain_averaged_model_averages_no_bookkeeping():
    vq = bottleneck(update="ema", normalization="batch")
    averaged = AveragedModel(vq, use_buffers=True)
    for step in range(12):
        train(vq, range(step, step + 1))
        averaged.update_parameters(vq)
    # It was told of nothing but codewords; the live one is unharmed by the averaging.
    assert averaged.module.quantizing
    assert averaged.module.updates == 0
    assert [event.update for event in vq.reestimations] == [4, 9]


def test_the_log_survives_but_for_the_time():
    vq = bottleneck()
    train(vq, range(12))
    restored = bottleneck()
    restored.load_state_dict(vq.state_dict())
    assert restored.reestimations == [dataclasses.replace(event, seconds=None) for event in vq.reestimations]
    assert [event.update for event in vq.reestimations] == [4, 9]
    assert all(event.seconds is not None for event in vq.reestimations)
    assert all(event.seconds is None for event in restored.reestimations)
    first, second = vq.reestimations
    assert (first.vectors, second.vectors) == (36, 40)
    for event in (first, second):
        assert 0 < event.inertia_after < event.inertia_before
        assert event.used == 8


def test_packing_gives_everything_back():
    values = {"a": 1, "b": [True, None, 0.1], "c": {"d": "e"}}
    tensors = {
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(5),
        "bytes": torch.arange(4, dtype=torch.uint8),
        "matrix": torch.randn(2, 3, dtype=torch.float64),
    }
    found_values, found = unpack(pack(values, tensors))
    assert found_values == values
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_state_of_a_newer_format_is_refused_saying_so(monkeypatch):
    monkeypatch.setattr("vqbn.bottleneck.state.VERSION", 7)
    newer = bottleneck().get_extra_state()
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match=r"has the format 7.* reads formats up to 2.*update vqbn"):
        bottleneck().set_extra_state(newer)
