"""Deltas: regression slopes, and Kaldi's own numbers."""

import kaldiio
import numpy as np
import pytest

from vqbn.kaldi.deltas import add_deltas, delta_kernels


def test_a_straight_line_has_its_slope_and_no_curvature():
    line = np.arange(30, dtype=np.float32)[:, None] * [[0.5, -2.0]]
    result = add_deltas(line)
    np.testing.assert_allclose(result[4:-4, 2:4], np.tile([0.5, -2.0], (22, 1)), rtol=1e-5)
    np.testing.assert_allclose(result[4:-4, 4:], 0, atol=1e-5)


def test_a_parabola_has_constant_curvature():
    parabola = (np.arange(30, dtype=np.float32) ** 2)[:, None]
    np.testing.assert_allclose(add_deltas(parabola)[4:-4, 2], 2, rtol=1e-4)


@pytest.mark.parametrize("frames", [0, 1, 3, 8])
def test_edges_repeat_the_first_and_last_frame(frames):
    features = np.random.default_rng(frames).normal(size=(frames, 3)).astype(np.float32)
    result = add_deltas(features)
    assert result.shape == (frames, 9)
    for order, kernel in enumerate(delta_kernels()):
        reach = len(kernel) // 2
        for t in range(frames):
            rows = features[np.clip(np.arange(t - reach, t + reach + 1), 0, frames - 1)]
            np.testing.assert_allclose(result[t, 3 * order : 3 * order + 3], kernel @ rows, atol=1e-5)


def test_equals_kaldi(real_data):
    folder = real_data / "speechocean762/kaldi/expected/feats"
    static = dict(kaldiio.load_ark(str(folder / "fbank80e.ark")))
    for utterance, expected in kaldiio.load_ark(str(folder / "fbank80e_deltas.ark")):
        np.testing.assert_allclose(add_deltas(static[utterance]), expected, atol=1e-4, rtol=0)
