"""The reservoir is a uniform sample, however the vectors come, and goes on where it stopped."""

import copy
import pickle

import pytest
import torch

from vqbn.bottleneck.reservoir import Reservoir


def numbered(first: int, count: int) -> torch.Tensor:
    """Vectors (count, 2) that tell the place where they came."""
    return torch.arange(first, first + count, dtype=torch.float32)[:, None].repeat(1, 2)


def filled(capacity: int, batches: list[int], seed: int) -> Reservoir:
    reservoir = Reservoir(capacity, 2, torch.Generator().manual_seed(seed))
    for count in batches:
        reservoir.add(numbered(reservoir.count, count))
    return reservoir


def one_by_one(capacity: int, count: int, seed: int) -> list[float]:
    """Vitter's algorithm R as it is written, with the same random numbers."""
    generator = torch.Generator().manual_seed(seed)
    kept = []
    for i in range(count):
        if i < capacity:
            kept.append(float(i))
        else:
            slot = int(torch.rand((), dtype=torch.float64, generator=generator).item() * (i + 1))
            if slot < capacity:
                kept[slot] = float(i)
    return kept


SPLITS = {
    "one by one": [1] * 200,
    "even": [20] * 10,
    "uneven": [3, 0, 97, 1, 60, 39],
    "at once": [200],
    "larger than the capacity": [150, 50],
}


@pytest.mark.parametrize("batches", SPLITS.values(), ids=SPLITS.keys())
def test_is_algorithm_r_whatever_the_batches(batches):
    for seed in range(5):
        assert filled(25, batches, seed).sample()[:, 0].tolist() == one_by_one(25, 200, seed)


@pytest.mark.parametrize("batches", [[40] * 5, [200], [7, 30] * 5 + [15]], ids=["even", "at once", "small"])
def test_every_vector_is_kept_equally_often(batches):
    capacity, seen, seeds = 30, 200, 300
    kept = torch.zeros(seen, dtype=torch.float64)
    for seed in range(seeds):
        sample = filled(capacity, batches, seed).sample()[:, 0].long()
        assert sample.unique().numel() == capacity
        kept[sample] += 1
    share = capacity / seen
    # Sampling without replacement: each count is binomial, and the counts have one constraint.
    chi_square = ((kept - seeds * share).square() / (seeds * share * (1 - share))).sum() * (seen - 1) / seen
    degrees = seen - 1
    assert abs(chi_square - degrees) < 4 * (2 * degrees) ** 0.5


def test_every_slot_holds_late_vectors_equally_often():
    late = torch.zeros(10)
    for seed in range(500):
        late += filled(10, [40], seed).sample()[:, 0] >= 20
    expected = 500 * 0.5
    assert ((late - expected).abs() < 4.5 * (500 * 0.25) ** 0.5).all()


def test_keeps_all_while_there_is_room():
    reservoir = filled(50, [10, 0, 20], 0)
    assert torch.equal(reservoir.sample(), numbered(0, 30))
    assert (len(reservoir), reservoir.count) == (30, 30)
    reservoir.add(numbered(30, 100))
    assert (len(reservoir), reservoir.count) == (50, 130)


def test_draw_names_each_slot_once_and_rows_in_order():
    reservoir = Reservoir(10, 2, torch.Generator().manual_seed(0))
    for count in (4, 30, 0, 200, 1):
        slots, rows = reservoir.draw(count)
        assert slots.dtype == rows.dtype == torch.int64
        assert slots.unique().numel() == slots.numel() == rows.numel()
        assert (rows.diff() > 0).all()
        assert ((slots >= 0) & (slots < 10)).all()
        assert ((rows >= 0) & (rows < count)).all()


def test_processes_that_draw_for_all_rows_keep_what_one_would():
    """Two copies draw for both halves of every batch and write the rows that they were sent."""
    alone, *ranks = (Reservoir(12, 2, torch.Generator().manual_seed(3)) for _ in range(3))
    for step in range(10):
        batch = numbered(16 * step, 16)
        alone.add(batch)
        for rank in ranks:
            slots, rows = rank.draw(16)
            rank.write(slots, batch[rows])
    assert torch.equal(ranks[0].sample(), alone.sample())
    assert torch.equal(ranks[1].sample(), alone.sample())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_vectors_are_as_if_they_had_not_come(bad):
    clean, broken = filled(8, [], 0), filled(8, [], 0)
    for step in range(6):
        batch = numbered(5 * step, 5)
        clean.add(batch)
        broken.add(
            torch.cat([torch.tensor([[bad, 0.0]]), batch[:3], torch.tensor([[1.0, bad], [bad, -bad]]), batch[3:]])
        )
    assert broken.count == clean.count
    assert torch.equal(broken.sample(), clean.sample())


def test_large_finite_vectors_are_kept():
    reservoir = Reservoir(4, 1)
    reservoir.add(torch.full((3, 1), 3e38))
    assert reservoir.count == 3


@pytest.mark.parametrize("stop", range(0, 120, 8))
def test_stopped_and_resumed_equals_uninterrupted(stop):
    through = filled(20, [8] * 15, 1)
    first = Reservoir(20, 2, torch.Generator().manual_seed(1))
    while first.count < stop:
        first.add(numbered(first.count, 8))
    state = {name: value.clone() for name, value in first.state_dict().items()}
    resumed = Reservoir(20, 2, torch.Generator().manual_seed(99))
    resumed.add(numbered(500, 70))
    resumed.load_state_dict(state)
    while resumed.count < 120:
        resumed.add(numbered(resumed.count, 8))
    assert torch.equal(resumed.sample(), through.sample())
    assert torch.equal(resumed.generator.get_state(), through.generator.get_state())


def test_the_state_is_tensors_that_later_vectors_do_not_change(tmp_path):
    reservoir = filled(20, [50], 0)
    state = reservoir.state_dict()
    torch.save(state, tmp_path / "state.pt")
    reservoir.add(numbered(50, 100))
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state.keys() == loaded.keys()
    assert all(torch.equal(state[name], loaded[name]) for name in state)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["deepcopy", "pickle"])
def test_a_copy_goes_its_own_way(clone):
    reservoir = filled(20, [50], 0)
    other = clone(reservoir)
    assert other.generator is not reservoir.generator
    reservoir.add(numbered(50, 100))
    other.add(numbered(50, 100))
    assert torch.equal(other.sample(), reservoir.sample())


@pytest.mark.parametrize(("capacity", "dim"), [(30, 2), (10, 2), (20, 3)])
def test_a_state_of_another_size_is_refused(capacity, dim):
    other = Reservoir(capacity, dim)
    with pytest.raises(ValueError, match="capacity"):
        other.load_state_dict(filled(20, [50], 0).state_dict())
    assert other.count == 0


def test_reset_begins_again_and_the_generator_goes_on():
    reservoir = filled(10, [100], 0)
    first = reservoir.sample()
    reservoir.reset()
    assert (len(reservoir), reservoir.count, reservoir.sample().shape) == (0, 0, (0, 2))
    reservoir.add(numbered(0, 100))
    assert len(reservoir) == 10
    assert not torch.equal(reservoir.sample(), first)


def test_vectors_are_copied_as_float32_without_gradient():
    reservoir = Reservoir(4, 2)
    x = torch.ones(2, 2, dtype=torch.bfloat16, requires_grad=True)
    reservoir.add(x)
    sample = reservoir.sample()
    assert sample.dtype == torch.float32
    assert not sample.requires_grad
    sample.zero_()
    with torch.no_grad():
        x.zero_()
    assert torch.equal(reservoir.sample(), torch.ones(2, 2))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Reservoir(4, 2).add(torch.ones(100, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError):
        Reservoir(0, 2)
    with pytest.raises(ValueError):
        Reservoir(2, 0)
    with pytest.raises(ValueError):
        Reservoir(2, 3).add(torch.zeros(4, 2))
    with pytest.raises(ValueError):
        Reservoir(2, 3).add(torch.zeros(3))


def test_what_was_shown_in_inference_mode_is_as_good_as_any():
    x = torch.randn(30, 3)
    one, other = Reservoir(8, 3), Reservoir(8, 3)
    for start in range(0, 30, 10):
        one.add(x[start : start + 10])
        with torch.inference_mode(start < 20):
            other.add(x[start : start + 10])
    assert torch.equal(one.sample(), other.sample())
    with torch.inference_mode():
        other.load_state_dict(one.state_dict())
    other.add(x)
    one.add(x)
    assert torch.equal(one.sample(), other.sample())
