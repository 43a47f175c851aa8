import math

import numpy as np
import pytest

from vqbn.tasks.images.scoring import image_scores


def test_the_authors_bits_are_the_uniform_nelbo():
    # 8 codebooks of 128 for 8x8 positions cost 1.167 bits for each of the 3,072 dimensions, 5 of 1,024 cost 1.042.
    for codebooks, size, cost in ((8, 128, 1.167), (5, 1024, 1.042)):
        usage = np.zeros((codebooks, size), dtype=int)
        usage[:, :4] = 64 * 100 // 4
        scores = image_scores(3.5 * math.log(2) * 3072 * 100, 3072 * 100, usage)
        assert scores["reconstruction_bpd"] == pytest.approx(3.5)
        assert scores["uniform_nelbo"] == pytest.approx(3.5 + cost, abs=5e-4)
        assert scores["unigram_nelbo"] == pytest.approx(3.5 + codebooks * 64 * 2 / 3072)
        assert scores["perplexity"] == pytest.approx(4)
        assert (scores["used_codes"], scores["codebook_size"]) == (4 * codebooks, size)
        assert scores["codes_seen"] == codebooks * 64 * 100


def test_codebooks_pay_for_their_own_use():
    usage = np.array([[50, 50, 0, 0], [25, 25, 25, 25]])
    scores = image_scores(0.0, 1200, usage)
    assert scores["unigram_nelbo"] == pytest.approx(100 * (1 + 2) / 1200)
    assert scores["perplexity"] == pytest.approx(3)


def test_without_codes_there_is_only_the_reconstruction():
    assert image_scores(math.log(2), 2, None) == {"reconstruction_bpd": pytest.approx(0.5)}
