import numpy as np
import pytest

from vqbn.tasks.recognition.comparison import kendall_tau


def test_the_same_order_is_1_and_the_opposite_one_is_minus_1():
    assert kendall_tau([1, 5, 9], [2, 3, 40]) == 1
    assert kendall_tau([1, 5, 9], [3, 2, 1]) == -1
    # One of three pairs is turned round.
    assert kendall_tau([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_ties_count_as_in_scipy(seed):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, (2, 9)).tolist()
    assert kendall_tau(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)


def test_nothing_but_ties_has_no_order():
    assert np.isnan(kendall_tau([1, 1], [1, 2]))


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="found 2 and 3"):
        kendall_tau([1, 2], [1, 2, 3])
