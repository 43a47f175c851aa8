import numpy as np
import pytest

from vqbn.reports.bootstrap import per_difference


def system(rates, lengths, seeds=(1, 2, 3), rng=None, noise=0):
    return {
        seed: {
            f"s{i}": (round(rate * n) + (int(rng.integers(-noise, noise + 1)) if rng else 0), n)
            for i, (rate, n) in enumerate(zip(rates, lengths, strict=True))
        }
        for seed in seeds
    }


LENGTHS = [100, 200, 300, 150, 250, 120, 80, 220]
RATES = [0.2, 0.7, 0.4, 0.5, 0.3, 0.6, 0.8, 0.1]


def test_the_mean_is_the_difference_of_pooled_rates():
    first = {1: {"a": (10, 100), "b": (30, 100)}, 2: {"a": (20, 100), "b": (30, 100)}}
    second = {1: {"a": (10, 100), "b": (20, 100)}, 2: {"a": (10, 100), "b": (20, 100)}}
    assert per_difference(first, second).mean == pytest.approx((40 + 50) / 4 - 15)


def test_a_system_does_not_differ_from_itself():
    runs = system(RATES, LENGTHS, rng=np.random.default_rng(0), noise=10)
    difference = per_difference(runs, runs)
    assert difference == (0, 0, 0, True)


def test_pairing_cancels_what_speakers_have_in_common():
    # Every speaker is exactly 5 points worse: however speakers are drawn, so is the pool.
    worse = system([r + 0.05 for r in RATES], LENGTHS)
    difference = per_difference(worse, system(RATES, LENGTHS))
    assert difference.low == pytest.approx(5, abs=0.3)
    assert difference.high == pytest.approx(5, abs=0.3)


def test_the_interval_widens_with_differences_between_speakers_and_flips_with_the_order():
    uneven = system([r + d for r, d in zip(RATES, [0.1, -0.1] * 4, strict=True)], LENGTHS)
    there, back = per_difference(uneven, system(RATES, LENGTHS)), per_difference(system(RATES, LENGTHS), uneven)
    assert there.low < 0 < there.high
    assert there.high - there.low > 5
    assert back.low == pytest.approx(-there.high)
    assert back.mean == pytest.approx(-there.mean)


def test_seeds_vary_the_interval():
    lengths = [100_000] * 8
    steady = system(RATES, lengths)
    seeds = {s: {k: (e + 5000 * (s - 2), n) for k, (e, n) in steady[s].items()} for s in steady}
    # 45, 50 and 55 % less 50 %: with the same speakers, only the seeds move the difference, from -5 to 5.
    difference = per_difference(seeds, steady)
    assert difference.mean == pytest.approx(0, abs=1e-9)
    assert -5.01 <= difference.low < -2
    assert 2 < difference.high <= 5.01


def test_other_seeds_are_drawn_apart_and_the_result_is_repeatable():
    first = system(RATES, LENGTHS, rng=np.random.default_rng(0), noise=10)
    second = system(RATES, LENGTHS, seeds=(4, 5), rng=np.random.default_rng(1), noise=10)
    difference = per_difference(first, second)
    assert not difference.paired_seeds
    assert difference == per_difference(first, second)
    assert difference != per_difference(first, second, seed=1)


@pytest.mark.parametrize("trial", range(3))
def test_the_interval_covers_what_a_normal_approximation_covers(trial):
    rng = np.random.default_rng(trial)
    n = 60
    delta = rng.normal(0.02, 0.03, n)
    first = {1: {f"s{i}": (200 + 400 * d, 400) for i, d in enumerate(delta)}}
    second = {1: {f"s{i}": (200, 400) for i in range(n)}}
    difference = per_difference(first, second)
    half = 1.96 * 100 * delta.std() / np.sqrt(n)
    assert difference.low == pytest.approx(100 * delta.mean() - half, abs=0.12)
    assert difference.high == pytest.approx(100 * delta.mean() + half, abs=0.12)


def test_different_references_are_refused():
    runs = {1: {"a": (1, 10)}}
    for other in ({1: {"b": (1, 10)}}, {1: {"a": (1, 11)}}, {}):
        with pytest.raises(ValueError):
            per_difference(runs, other)
