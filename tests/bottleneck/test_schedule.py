"""The schedule of re-estimations."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqbn import ReestimationSchedule


def test_the_gaps_grow_by_the_factor_rounded_up():
    assert ReestimationSchedule(start=10, until=100, every=4, growth=1.5).updates() == [10, 14, 20, 29, 43, 64, 96]


def test_without_growth_the_gaps_stay():
    assert ReestimationSchedule(start=3, until=12, every=3).updates() == [3, 6, 9, 12]


def test_the_growth_is_the_decimal_that_was_written():
    # The float 1.1 is larger than 11/10: in floats, 10 * 1.1 is rounded up to 12.
    assert ReestimationSchedule(start=1, until=22, every=10, growth=1.1).updates() == [1, 11, 22]


@given(
    start=st.integers(1, 1000),
    length=st.integers(0, 2000),
    every=st.integers(1, 300),
    growth=st.decimals(1, 5, places=2),
)
def test_the_plan_keeps_to_its_definition(start, length, every, growth):
    schedule = ReestimationSchedule(start, start + length, every, float(growth))
    updates = schedule.updates()
    assert updates[0] == start
    assert updates[-1] == schedule.last <= schedule.until
    gaps = [after - before for before, after in itertools.pairwise(updates)]
    assert gaps[:1] in ([every], [])
    for before, after in itertools.pairwise(gaps):
        assert after == math.ceil(before * Fraction(growth))
    following = math.ceil(gaps[-1] * Fraction(growth)) if gaps else every
    assert updates[-1] + following > schedule.until
    assert [u for u in range(start + length + 2) if u in schedule] == updates


@pytest.mark.parametrize(
    ("values", "error", "named"),
    [
        ({"start": 0}, ValueError, "start"),
        ({"until": 9}, ValueError, "until"),
        ({"every": 0}, ValueError, "every"),
        ({"growth": 0.5}, ValueError, "growth"),
        ({"growth": float("nan")}, ValueError, "growth"),
        ({"growth": float("inf")}, ValueError, "growth"),
        ({"every": 1.5}, TypeError, "every"),
        ({"start": True}, TypeError, "start"),
    ],
)
def test_impossible_values_are_refused_by_name(values, error, named):
    with pytest.raises(error, match=named):
        ReestimationSchedule(**({"start": 10, "until": 20, "every": 5} | values))
