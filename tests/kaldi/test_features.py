"""Features: Kaldi's numbers, Kaldi's frame count."""

import kaldiio
import numpy as np
import pytest

from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.features import BACKENDS, DIMS, log_mel


@pytest.fixture(params=sorted(BACKENDS))
def backend(request):
    """Each backend that is installed."""
    if request.param == "torchaudio":
        pytest.importorskip("torchaudio")
    return request.param


def tone(hertz, samples=16000, loudness=1000.0):
    """A sine at 16 kHz."""
    return (loudness * np.sin(2 * np.pi * hertz * np.arange(samples) / 16000)).astype(np.float32)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)])
def test_only_whole_windows_count(backend, samples, frames):
    features = log_mel(tone(440, samples), backend)
    assert features.shape == (frames, DIMS)
    assert features.dtype == np.float32


def test_energy_is_first_and_bins_rise_with_frequency(backend):
    quiet, loud = log_mel(tone(440), backend), log_mel(tone(440, loudness=10000.0), backend)
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], 2 * np.log(10), atol=1e-3)
    # The energy is that of the whole window: 400 samples of half the squared amplitude.
    np.testing.assert_allclose(quiet[:, 0], np.log(400 * 1000**2 / 2), atol=0.05)
    peaks = [log_mel(tone(hertz), backend)[50, 1:].argmax() for hertz in (200, 800, 3000, 7000)]
    assert peaks == sorted(set(peaks))


def test_there_is_no_dither(backend):
    samples = tone(300)
    np.testing.assert_array_equal(log_mel(samples, backend), log_mel(samples.copy(), backend))


def test_silence_is_finite(backend):
    assert np.isfinite(log_mel(np.zeros(4000, np.float32), backend)).all()


def test_equals_kaldi(real_data, backend):
    folder = real_data / "speechocean762/kaldi/expected/feats"
    differences = []
    for utterance, expected in kaldiio.load_ark(str(folder / "fbank80e.ark")):
        features = log_mel(read_audio(folder / f"audio/{utterance}.flac"), backend)
        assert features.shape == expected.shape
        differences.append(np.abs(features - expected).ravel())
    difference = np.concatenate(differences)
    assert len(differences) == 8
    assert difference.mean() < 1e-4
    assert np.quantile(difference, 0.999) < 5e-3
