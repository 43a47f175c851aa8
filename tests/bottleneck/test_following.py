"""Updates are optimiser steps, and what a clustering leaves to optimisers and averaged copies."""

import copy
import gc
import itertools
import logging

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vqbn import ReestimationSchedule, VQBottleneck, parameter_groups

SCHEDULE = ReestimationSchedule(start=4, until=20, every=3, growth=1.5)
PLAN = [4, 7, 12, 20]


def bottleneck(schedule=SCHEDULE, **options) -> VQBottleneck:
    torch.manual_seed(0)
    return VQBottleneck(6, 4, 8, reestimation=schedule, reservoir_size=40, **options)


def batch(update: int, n: int = 12) -> torch.Tensor:
    return torch.randn(1, n, 6, generator=torch.Generator().manual_seed(update))


def first_quantized(outputs: list[bool]) -> int:
    return outputs.index(True) + 1


def test_the_plan_of_these_tests():
    assert SCHEDULE.updates() == PLAN


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("forwards", [1, 3])
def test_following_an_optimizer_each_step_is_an_update(update, forwards):
    vq = bottleneck(update=update)
    optimizer = torch.optim.Adam(vq.parameters(), 1e-2)
    vq.follow(optimizer)
    quantized = []
    for step in range(1, 26):
        before = vq.codebook.detach().clone()
        for part in range(forwards):
            output = vq(batch(step * 10 + part))
            (output.loss + output.quantized.square().mean()).backward()
            assert torch.equal(vq.codebook, before), "a forward must not change the codebook"
        quantized.append(bool((output.indices >= 0).all()))
        optimizer.step()
        optimizer.zero_grad()
        assert vq.updates == step
        assert [event.update for event in vq.reestimations] == [u for u in PLAN if u <= step + 1]
    assert first_quantized(quantized) == 4
    vectors = [event.vectors for event in vq.reestimations]
    assert vectors == [min(40, 12 * forwards * gap) for gap in (3, 3, 5, 8)]


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_without_follow_each_training_forward_is_an_update_that_the_next_completes(update):
    vq = bottleneck(update=update)
    quantized = []
    for step in range(1, 26):
        output = vq(batch(step))
        quantized.append(bool((output.indices >= 0).all()))
        assert [event.update for event in vq.reestimations] == [u for u in PLAN if u <= step]
        assert vq.updates == step - 1
        vq.eval()
        vq(batch(0))
        vq.train()
        assert vq.updates == step - 1, "evaluation must not count"
    assert first_quantized(quantized) == 4


@pytest.mark.parametrize("fused", [False, True])
def test_steps_that_a_gradient_scaler_skips_are_no_updates(fused):
    vq = bottleneck()
    optimizer = torch.optim.Adam(vq.parameters(), 1e-3, fused=fused)
    vq.follow(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    real = 0
    for step in range(1, 40):
        output = vq(batch(step))
        loss = output.loss + output.quantized.square().mean()
        if step % 3 == 0:
            loss = loss * float("inf")
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        before = vq.projection.weight.clone()
        scaler.step(optimizer)
        scaler.update()
        real += not torch.equal(before, vq.projection.weight)
        assert vq.updates == real
        assert [event.update for event in vq.reestimations] == [u for u in PLAN if u <= real + 1]
    assert real == 26


def test_steps_without_a_training_forward_are_no_updates():
    vq = bottleneck()
    optimizer = torch.optim.Adam(vq.parameters(), 1e-3)
    vq.follow(optimizer)
    for _ in range(3):
        vq.eval()(batch(0)).quantized.sum().backward()
        optimizer.step()
    assert vq.updates == 0
    vq.train()(batch(0)).quantized.sum().backward()
    optimizer.step()
    optimizer.step()
    assert vq.updates == 1


def test_with_too_few_vectors_it_tries_again_after_every_update_and_the_plan_stays(caplog):
    vq = bottleneck(ReestimationSchedule(2, 12, 5))
    optimizer = torch.optim.SGD(vq.parameters(), 1e-2)
    vq.follow(optimizer)
    with caplog.at_level(logging.WARNING, "vqbn"):
        for step in range(1, 20):
            # Three vectors an update: enough for eight codewords after the third.
            output = vq(batch(step, 3))
            (output.loss + output.quantized.sum()).backward()
            optimizer.step()
    assert vq.reestimation.updates() == [2, 7, 12]
    assert [(event.update, event.vectors) for event in vq.reestimations] == [(4, 9), (7, 9), (12, 15)]
    assert [record.message for record in caplog.records] == [
        "no clustering for update 2: 3 vectors for 8 codewords; trying again after every update"
    ]


def test_a_first_clustering_for_the_first_update_waits_for_vectors():
    vq = bottleneck(ReestimationSchedule(1, 9, 4))
    for step in range(1, 12):
        vq(batch(step))
    assert [event.update for event in vq.reestimations] == [2, 5, 9]


def test_the_reservoir_holds_the_vectors_since_the_last_clustering_and_rests_after_the_last():
    vq = bottleneck(ReestimationSchedule(3, 5, 2))
    optimizer = torch.optim.SGD(vq.parameters(), 0.0)
    vq.follow(optimizer)
    lengths = []
    for step in range(1, 8):
        vq(batch(step)).quantized.sum().backward()
        if step == 4:
            recent = [vq.projection(batch(3)), vq.projection(batch(4))]
            assert torch.equal(vq.learner.reservoir.sample(), torch.cat(recent, 1)[0])
        optimizer.step()
        lengths.append(len(vq.learner.reservoir))
    assert lengths == [12, 0, 12, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "make", [torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad, torch.optim.NAdam, torch.optim.RMSprop]
)
def test_a_clustering_makes_the_optimizer_forget_the_codebook(make):
    vq = bottleneck(ReestimationSchedule(3, 6, 3))
    optimizer = make(parameter_groups(vq, 1e-2, 0.1))
    vq.follow(optimizer)
    for step in range(1, 6):
        output = vq(batch(step))
        (output.loss + output.quantized.square().mean()).backward()
        optimizer.step()
    # After update 5 the codebook is as new: the next step is that of an optimiser that was just made.
    twin = copy.deepcopy(vq)
    fresh = make(parameter_groups(twin, 1e-2, 0.1))
    fresh.step()
    for model, chosen in ((vq, optimizer), (twin, fresh)):
        chosen.zero_grad()
        output = model(batch(6))
        output.loss.backward()
        chosen.step()
    assert torch.equal(vq.codebook, twin.codebook)
    assert not torch.equal(vq.projection.weight, twin.projection.weight), "the rest must keep its moments"


def test_a_clustering_makes_the_moving_averages_forget_the_old_codewords():
    vq = bottleneck(ReestimationSchedule(3, 8, 5), update="ema", match=False)
    optimizer = torch.optim.SGD(vq.parameters(), 1e-2)
    vq.follow(optimizer)
    for step in range(1, 8):
        vq(batch(step)).quantized.sum().backward()
        optimizer.step()
        assert torch.equal(vq.ema_counts, torch.ones(1, 8)) == (step + 1 in (2, 3, 8))
        assert torch.equal(vq.ema_sums, vq.codebook) == (step + 1 in (2, 3, 8))


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("use_buffers", [True, False])
def test_averaged_copies_take_the_clustered_codebook_over(update, use_buffers):
    vq = bottleneck(ReestimationSchedule(4, 9, 5), update=update)
    model = nn.Sequential(vq)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=use_buffers)
    optimizer = torch.optim.Adam(vq.parameters(), 1e-2)
    vq.follow(optimizer, averaged)
    theirs = averaged.module[0]
    for step in range(1, 12):
        output = vq(batch(step))
        (output.loss + output.quantized.square().mean()).backward()
        optimizer.step()
        if step + 1 in (4, 9):
            for name in ("codebook", "ema_counts", "ema_sums") if update == "ema" else ("codebook",):
                assert torch.equal(getattr(theirs, name), getattr(vq, name))
        assert theirs.quantizing == vq.quantizing == (step + 1 >= 4)
        averaged.update_parameters(model)
        assert torch.equal(theirs.get_extra_state(), vq.get_extra_state())
    assert not torch.equal(theirs.projection.weight, vq.projection.weight)
    # What is saved with the averaged weights stands alone, and continues where the live one would.
    restored = bottleneck(ReestimationSchedule(4, 9, 5), update=update)
    restored.load_state_dict(theirs.state_dict())
    assert restored.updates == 11
    assert restored.quantizing
    x = batch(99)
    assert torch.equal(restored.eval()(x).quantized, theirs.eval()(x).quantized)


@torch.no_grad()
def over_floats(copy: VQBottleneck, live: VQBottleneck) -> None:
    theirs = live.state_dict()
    for name, value in copy.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], 0.3)


@torch.no_grad()
def over_parameters(copy: VQBottleneck, live: VQBottleneck) -> None:
    for mine, theirs in zip(copy.parameters(), live.parameters(), strict=True):
        mine.lerp_(theirs, 0.3)


@torch.no_grad()
def over_parameters_with_buffers_copied(copy: VQBottleneck, live: VQBottleneck) -> None:
    over_parameters(copy, live)
    for mine, theirs in zip(copy.buffers(), live.buffers(), strict=True):
        mine.copy_(theirs)


@torch.no_grad()
def over_all_of_the_state(copy: VQBottleneck, live: VQBottleneck) -> None:
    """As timm does, types notwithstanding."""
    for mine, theirs in zip(copy.state_dict().values(), live.state_dict().values(), strict=True):
        mine.copy_(0.7 * mine + 0.3 * theirs)


def by_averaged_model(**options):
    def prepare(live: VQBottleneck):
        averaged = AveragedModel(live, **options)
        return averaged.module, lambda copy, live: averaged.update_parameters(live)

    return prepare


def by(loop):
    return lambda live: (copy.deepcopy(live), loop)


@pytest.mark.filterwarnings("ignore:the codewords of this copy")
@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize(
    "prepare",
    [
        by(over_floats),
        by(over_parameters_with_buffers_copied),
        by(over_all_of_the_state),
        by_averaged_model(),
        by_averaged_model(use_buffers=True),
        by_averaged_model(multi_avg_fn=get_ema_multi_avg_fn(0.7)),
        by_averaged_model(multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True),
    ],
)
def test_a_copy_that_follow_was_not_told_of_quantises_when_the_live_one_does(prepare, update, follow):
    vq = bottleneck(ReestimationSchedule(4, 9, 5), update=update)
    theirs, average = prepare(vq)
    optimizer = torch.optim.Adam(vq.parameters(), 1e-2)
    if follow:
        vq.follow(optimizer)
    for step in range(1, 20):
        output = vq(batch(step))
        optimizer.zero_grad()
        (output.loss + output.quantized.square().mean()).backward()
        optimizer.step()
        average(theirs, vq)
        indices = theirs.eval()(batch(99)).indices
        assert bool((indices >= 0).all()) == bool((indices >= 0).any()) == vq.quantizing == theirs.quantizing
    # And so does what is saved of it.
    restored = bottleneck(ReestimationSchedule(4, 9, 5), update=update)
    restored.load_state_dict(theirs.state_dict())
    assert torch.equal(restored.eval()(batch(99)).quantized, theirs(batch(99)).quantized)


def test_a_copy_whose_codewords_are_averages_with_the_first_says_so():
    vq = bottleneck()
    theirs = copy.deepcopy(vq).eval()
    for step in range(1, 6):
        vq(batch(step))
    over_floats(theirs, vq)
    with pytest.warns(RuntimeWarning, match=r"a weight of 70% now: give the copy to follow"):
        theirs(batch(99))


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_an_evaluation_without_codes_warns_once_if_the_live_one_has_them(update, recwarn):
    vq = bottleneck(update=update)
    theirs = copy.deepcopy(vq).eval()
    optimizer = torch.optim.Adam(vq.parameters(), 1e-2)
    vq.follow(optimizer)
    for step in range(1, 10):
        assert not recwarn.list, "nothing is wrong before the first clustering"
        vq(batch(step)).quantized.sum().backward()
        optimizer.step()
        over_parameters(theirs, vq)
        vq.eval()(batch(99))
        vq.train()
        if not vq.quantizing:
            theirs(batch(99))
    for _ in range(3):
        assert (theirs(batch(99)).indices == -1).all()
    (warning,) = recwarn.list
    assert "no codewords yet" in str(warning.message)


def test_an_evaluation_without_codes_warns_if_training_ended_before_them():
    vq = bottleneck()
    for step in range(1, 3):
        vq(batch(step))
    restored = bottleneck()
    restored.load_state_dict(vq.state_dict())
    for each in (vq, restored):
        with pytest.warns(RuntimeWarning, match="done 1 updates, and its first clustering is planned for update 4"):
            each.eval()(batch(99))


def test_an_averaged_model_must_hold_the_one_copy():
    vq = bottleneck()
    optimizer = torch.optim.SGD(vq.parameters(), 0.1)
    for wrong in (vq, VQBottleneck(6, 4, 9), nn.Sequential(copy.deepcopy(vq), copy.deepcopy(vq)), nn.Linear(2, 2)):
        with pytest.raises(ValueError, match="averaged"):
            vq.follow(optimizer, wrong)
    with pytest.raises(TypeError, match="modules"):
        vq.follow(optimizer, [3])
    both = [copy.deepcopy(vq), nn.Sequential(copy.deepcopy(vq))]
    vq.follow(optimizer, both)
    assert torch.equal(both[0].get_extra_state(), vq.get_extra_state())


def test_it_keeps_nothing_alive_and_copies_follow_nothing():
    vq = bottleneck()
    optimizer = torch.optim.SGD(vq.parameters(), 0.1)
    vq.follow(optimizer)
    twin = copy.deepcopy(vq)
    vq(batch(1)).quantized.sum().backward()
    twin(batch(1))
    optimizer.step()
    assert vq.updates == 1
    twin(batch(2))
    assert twin.updates == 1, "a copy counts its own forwards"
    del optimizer
    gc.collect()
    vq(batch(2))
    vq(batch(3))
    assert vq.updates == 2, "without the optimiser, forwards count"


def test_a_second_follow_replaces_the_first():
    vq = bottleneck()
    first, second = (torch.optim.SGD(vq.parameters(), 0.1) for _ in range(2))
    vq.follow(first)
    vq.follow(second)
    vq(batch(1)).quantized.sum().backward()
    first.step()
    assert vq.updates == 0
    second.step()
    assert vq.updates == 1


def test_many_forwards_without_a_step_of_the_optimizer_warn_once(recwarn):
    vq = bottleneck()
    old = torch.optim.SGD(vq.parameters(), 0.1)
    vq.follow(old)
    for step in range(5):
        vq(batch(step))
        old.step()
    new = torch.optim.SGD(vq.parameters(), 0.1)
    for step in range(250):
        assert len(recwarn.list) == (step >= 100)
        vq(batch(step))
        new.step()
    assert "no step of the optimiser that this bottleneck follows" in str(recwarn.list[0].message)
    vq.follow(new)
    for step in range(250):
        vq(batch(step))
        new.step()
    vq.unfollow()
    for step in range(250):
        vq(batch(step))
    assert len(recwarn.list) == 1


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_new_numbers_change_no_output(update):
    outputs = []
    for match in (True, False):
        vq = bottleneck(match=match, update=update)
        optimizer = torch.optim.Adam(vq.parameters(), 1e-2)
        vq.follow(optimizer)
        for step in range(1, 25):
            output = vq(batch(step))
            optimizer.zero_grad()
            (output.loss + output.quantized.square().mean()).backward()
            optimizer.step()
        outputs.append(vq.eval()(batch(99)))
    assert torch.equal(outputs[0].quantized, outputs[1].quantized)
    assert not torch.equal(outputs[0].indices, outputs[1].indices)


@pytest.mark.parametrize("how", ["eval", "requires_grad", "parent"])
@pytest.mark.parametrize(
    "options",
    [
        {"update": "gradient", "normalization": "batch"},
        {"update": "ema", "normalization": "batch"},
        {"update": "ema", "projection": False, "input_dim": 4},
    ],
)
def test_frozen_it_does_not_change(how, options):
    torch.manual_seed(0)
    options = {"input_dim": 6, "code_dim": 4, "codebook_size": 8} | options
    vq = VQBottleneck(**options, reestimation=ReestimationSchedule(3, 100, 2), reservoir_size=40)
    model = nn.Sequential(nn.Linear(6, options["input_dim"]), vq)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    vq.follow(optimizer)

    def step(seed):
        output = model(batch(seed))
        optimizer.zero_grad()
        (output.loss + output.quantized.square().mean()).backward()
        optimizer.step()
        return output

    for seed in range(4):
        step(seed)
    if how == "eval":
        vq.eval()
    elif how == "requires_grad":
        vq.requires_grad_(False)
    else:
        model.requires_grad_(False)
        model[0].requires_grad_(True)
    vq.zero_grad(set_to_none=True)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    vq.follow(optimizer)
    before = {name: value.clone() for name, value in vq.state_dict().items()}
    weight = model[0].weight.clone()
    if how == "eval":
        vq.requires_grad_(False)
    for seed in range(5):
        step(seed)
    assert not torch.equal(model[0].weight, weight)
    for name, value in vq.state_dict().items():
        assert torch.equal(value, before[name]), name
    x = batch(7, 1)
    assert torch.equal(vq(model[0](x)).quantized, copy.deepcopy(vq).eval()(model[0](x)).quantized)


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("follow", [True, False])
def test_a_frozen_codebook_stays_while_the_rest_learns(update, follow):
    vq = bottleneck(ReestimationSchedule(3, 40, 3), normalization="batch", update=update)
    optimizer = torch.optim.Adam(vq.parameters(), 1e-2)
    if follow:
        vq.follow(optimizer)

    def train(steps: range) -> None:
        for step in steps:
            output = vq(batch(step))
            optimizer.zero_grad()
            (output.loss + output.quantized.square().mean()).backward()
            optimizer.step()

    train(range(1, 8))
    done = len(vq.reestimations)
    assert done > 0
    assert not vq.codebook_frozen
    vq.codebook_frozen = True
    tensors = dict(vq.named_parameters()) | dict(vq.named_buffers())
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    assert vq.codebook_frozen
    assert copy.deepcopy(vq).codebook_frozen
    assert not [name for name in vq.state_dict() if "frozen" in name]
    train(range(8, 20))
    for name, tensor in tensors.items():
        # Without an optimiser to follow, the last forward left its update to the next, a frozen one: it isn't done.
        assert torch.equal(tensor, before[name]) == name.startswith(("codebook", "ema_", "has_codewords")), name
    assert len(vq.reestimations) == done
    assert vq.updates == 19 - (not follow), "updates are counted all the same"
    vq.codebook_frozen = False
    train(range(20, 30))
    assert not torch.equal(vq.codebook, before["codebook"])
    assert len(vq.reestimations) > done


def test_a_parameter_that_requires_no_gradient_is_a_frozen_codebook():
    vq = bottleneck()
    vq.codebook.requires_grad_(False)
    assert vq.codebook_frozen
    vq.codebook_frozen = False
    assert vq.codebook.requires_grad


def test_compiled_a_codebook_freezes_too():
    vq = bottleneck(None, update="ema")
    forward = torch.compile(vq, fullgraph=True, backend="aot_eager")
    states = []
    for step, frozen in enumerate([False, False, True, True, False, False]):
        vq.codebook_frozen = frozen
        forward(batch(step))
        states.append(vq.codebook.clone())
    # A forward begins with what the one before it left to do.
    moved = [not torch.equal(one, other) for one, other in itertools.pairwise(states)]
    assert moved == [True, False, False, True, True]


def test_a_frozen_codebook_is_not_clustered():
    vq = bottleneck(ReestimationSchedule(3, 9, 3), normalization="batch")
    vq.codebook.requires_grad_(False)
    before = vq.codebook.clone()
    for step in range(1, 12):
        vq(batch(step))
    assert torch.equal(vq.codebook, before)
    assert vq.reestimations == []
    assert vq.normalization.running_mean.any(), "the rest still learns"
