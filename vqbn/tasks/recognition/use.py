"""A trained recogniser on new recordings, out of a model folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vqbn.errors import InputError
from vqbn.kaldi.deltas import add_deltas, scale_and_shift, to_channels
from vqbn.nets.segments import best_path_segments
from vqbn.runs.exported import build_exported
from vqbn.runs.model_folder import ModelFolder
from vqbn.runs.task import Task
from vqbn.tasks.recognition.text_tokens import TextTokens

# Frames without which there is nothing to normalise or to recognise.
LEAST_FRAMES = 1


class Segment(NamedTuple):
    """A token and when it is heard, in seconds."""

    token: str
    start: float
    duration: float


@dataclass(frozen=True)
class Recognition:
    """What a recording says.

    Attributes:
        segments: the tokens of the best path, in order. CTC says a token within its sound, not from border to border.
        text: phones apart by spaces, or the words that characters and pieces make.
        units: int64 (latents, num_codebooks), the code of each latent; None for a model without codes.
    """

    segments: list[Segment]
    text: str
    units: np.ndarray | None


class SpeechModel:
    """A recogniser that takes recordings.

    Args:
        folder: of vqbn-export.
        task: recognition.

    Attributes:
        model: the module, in evaluation mode; move it to a GPU as any module.
        tokens: what it tells apart, the blank first.
        sample_rate: in Hz, of what it hears.
        units_per_second: latents per second.
        codebook_size: K; None without codes.

    Raises:
        InputError: the folder's files don't fit each other.
    """

    def __init__(self, folder: ModelFolder, task: Task):
        self.model = build_exported(folder, task)
        settings = folder.about["front_end"]
        try:
            self.tokens: list[str] = folder.about["model"]["tokens"]
            self.token_type: str = folder.about["config"].get("token_type", "phn")
            self.sample_rate: int = settings["sample_rate"]
            self.units_per_second: float = 1 / (settings["frame_shift"] * self.model.subsampling)
            self._frame_shift: float = settings["frame_shift"]
            self._mel_bins: int = settings["mel_bins"]
            self._by_recording: bool = settings["cmvn"] == "speaker"
            self._statistics = None if self._by_recording else [folder.arrays[name].numpy() for name in ("mean", "std")]
        except KeyError as error:
            raise InputError(f"{folder.path}: config.json or its tensors lack {error}; export it again") from error
        self.codebook_size: int | None = getattr(self.model.bottleneck, "codebook_size", None)

    def features(self, audio: str | Path | np.ndarray, rate: int | None = None) -> np.ndarray:
        """Normalised features of a recording: float32 (frames, height, 3).

        A model that was trained with each speaker's own mean and variance takes those of the recording.

        Args:
            audio: a file that `kaldi.audio.read_audio` reads; or samples (n,), floats in -1 to 1 or int16.
            rate: of the samples, in Hz; None: the model's.

        Raises:
            InputError: the file is unreadable, the samples are of another rate, or there are too few.
        """
        from vqbn.kaldi.features import log_mel

        samples, name = self._samples(audio, rate)
        static = log_mel(samples, sample_rate=self.sample_rate, mel_bins=self._mel_bins)
        if len(static) < LEAST_FRAMES:
            raise InputError(f"{name}: {len(samples) / self.sample_rate:.3f} s; expected at least 0.025 s of sound")
        features = add_deltas(static)
        if self._by_recording:
            mean, std = features.mean(0, dtype=np.float64), np.maximum(features.std(0, dtype=np.float64), 1e-5)
        else:
            mean, std = self._statistics
        return to_channels(features, *scale_and_shift(mean, std))

    def units(self, audio: str | Path | np.ndarray, rate: int | None = None) -> np.ndarray:
        """The code of each latent, `units_per_second` of them: int64 (latents, num_codebooks).

        Arguments and errors as those of `features`.

        Raises:
            InputError: also where the model has no codes.
        """
        if self.codebook_size is None:
            raise InputError("the model has no codes: its bottleneck is linear")
        return self._forward(audio, rate).indices[0].cpu().numpy()

    def recognize(self, audio: str | Path | np.ndarray, rate: int | None = None) -> Recognition:
        """What a recording says, along the best path; arguments and errors as those of `features`."""
        output = self._forward(audio, rate)
        seconds = 1 / self.units_per_second
        spoken = best_path_segments(output.log_probs[0].cpu())
        segments = [Segment(self.tokens[x.symbol], x.start * seconds, (x.end - x.start) * seconds) for x in spoken]
        text = TextTokens(self.token_type).join([segment.token for segment in segments])
        return Recognition(segments, text, None if output.indices is None else output.indices[0].cpu().numpy())

    @torch.no_grad()
    def _forward(self, audio: str | Path | np.ndarray, rate: int | None) -> NamedTuple:
        features = torch.from_numpy(np.ascontiguousarray(self.features(audio, rate)))
        return self.model(features[None].to(next(self.model.parameters()).device))

    def _samples(self, audio: str | Path | np.ndarray, rate: int | None) -> tuple[np.ndarray, str]:
        """float32 (n,) in the range of 16-bit integers, and what to call them in messages."""
        if isinstance(audio, str | Path):
            from vqbn.kaldi.audio import read_audio

            return read_audio(str(audio), self.sample_rate), str(audio)
        samples = np.asarray(audio)
        if samples.ndim != 1 or samples.dtype.kind not in "fi":
            raise InputError(f"samples: found {samples.dtype} {samples.shape}, expected one channel of floats or int16")
        if rate not in (None, self.sample_rate):
            raise InputError(f"samples: {rate} Hz; expected {self.sample_rate} Hz: resample them")
        scale = 32768 if samples.dtype.kind == "f" else 1
        return samples.astype(np.float32) * np.float32(scale), "samples"
