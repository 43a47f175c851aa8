"""Log mel filterbanks with energy, equal to those of Kaldi's compute-fbank-feats without dither."""

from collections.abc import Callable

import numpy as np

from vqbn.kaldi.audio import SAMPLE_RATE

MEL_BINS = 80
DIMS = MEL_BINS + 1
FRAME_SHIFT = 0.01  # seconds
WINDOW = 0.025  # seconds


def log_mel(
    samples: np.ndarray, backend: str = "kaldi", sample_rate: int = SAMPLE_RATE, mel_bins: int = MEL_BINS
) -> np.ndarray:
    """Compute Kaldi's filterbank features: 25 ms Povey windows every 10 ms, pre-emphasis 0.97, no dither.

    Only whole windows count (Kaldi's snip-edges), so `frames` is 1 + (samples - 400) // 160 at 16 kHz, or 0.

    Args:
        samples: float32 (samples,) in the range of 16-bit integers.
        backend: one of `BACKENDS`: "kaldi" is the package kaldi-native-fbank.
        sample_rate: in Hz.
        mel_bins: how many mel filters.

    Returns:
        float32 (frames, 1 + mel_bins): the log energy first, as Kaldi writes it without htk-compat, then the log mel
        bins from low to high.
    """
    if len(samples) < round(WINDOW * sample_rate):
        return np.zeros((0, mel_bins + 1), np.float32)
    return BACKENDS[backend](samples, sample_rate, mel_bins)


def _native(samples: np.ndarray, sample_rate: int, mel_bins: int) -> np.ndarray:
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = sample_rate
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = mel_bins
    options.use_energy = True
    options.energy_floor = 0
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(sample_rate, samples)
    fbank.input_finished()
    return np.stack([fbank.get_frame(number) for number in range(fbank.num_frames_ready)])


def _torchaudio(samples: np.ndarray, sample_rate: int, mel_bins: int) -> np.ndarray:
    import torch
    from torchaudio.compliance import kaldi

    features = kaldi.fbank(
        torch.from_numpy(samples)[None],
        sample_frequency=sample_rate,
        dither=0.0,
        num_mel_bins=mel_bins,
        use_energy=True,
        energy_floor=0.0,
    )
    return features.numpy()


BACKENDS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "kaldi": _native,
    "torchaudio": _torchaudio,
}
