import math

import numpy as np
import pytest

from vqbn import perplexity
from vqbn.errors import InputError
from vqbn.metrics.codes import bits_per_second, mean_perplexity, usage_histogram


def column(*codes):
    return np.array(codes, dtype=np.int32)[:, None]


def test_the_histogram_pools_the_set_and_skips_what_was_not_chosen():
    counts = usage_histogram([column(0, 2, 2, -1), column(2), column()], codebook_size=4)
    np.testing.assert_array_equal(counts, [[1, 0, 3, 0]])


def test_each_codebook_has_its_own_counts():
    counts = usage_histogram([np.array([[0, 1], [0, 0], [0, 1]])], codebook_size=2)
    np.testing.assert_array_equal(counts, [[3, 0], [1, 2]])


def test_an_empty_set_counts_nothing():
    np.testing.assert_array_equal(usage_histogram([], 3), [[0, 0, 0]])


@pytest.mark.parametrize("bad", [3, -2])
def test_codes_of_another_codebook_are_refused(bad):
    with pytest.raises(InputError, match="expected -1 to 2"):
        usage_histogram([column(0, bad)], codebook_size=3)


def test_perplexity_of_equally_used_codes_is_their_number():
    assert mean_perplexity(np.array([[5, 5, 5, 5, 0]])) == pytest.approx(4)
    assert mean_perplexity(np.array([[7, 0]])) == pytest.approx(1)
    assert mean_perplexity(np.array([[1, 1, 0, 0], [1, 1, 1, 1]])) == pytest.approx(3)


@pytest.mark.parametrize("seed", [0, 1])
def test_perplexity_is_two_to_the_entropy(seed):
    counts = np.random.default_rng(seed).integers(0, 9, (1, 50))
    p = counts[counts > 0] / counts.sum()
    entropy = -(p * np.log2(p)).sum()
    assert mean_perplexity(counts) == pytest.approx(2**entropy, rel=1e-6)
    assert mean_perplexity(counts) == pytest.approx(float(perplexity(counts[0])))
    assert bits_per_second(counts, 100 / 3) == pytest.approx(entropy * 100 / 3, rel=1e-6)


def test_bits_of_independent_codebooks_add_up():
    counts = np.array([[1, 1, 0, 0], [1, 1, 1, 1]])
    assert bits_per_second(counts, 10.0) == pytest.approx(10 * (1 + 2))
    assert math.isclose(bits_per_second(np.array([[4, 0]]), 10.0), 0, abs_tol=1e-9)
