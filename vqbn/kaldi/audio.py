"""Audio files as Kaldi sees them: one channel of samples in the int16 range."""

import functools
import io
import struct
import subprocess
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from vqbn.errors import InputError
from vqbn.kaldi.source import Command, Excerpt, Source
from vqbn.kaldi.sphere import MAGIC, read_sphere

SAMPLE_RATE = 16000
# Programs that write wav to a pipe can't know the length and put a number near the largest possible here.
UNKNOWN_LENGTH = 0x7FFFF000
# How far a stretch may reach beyond its recording, in seconds; Kaldi's extract-segments allows as much.
OVERSHOOT = 0.5


def read_audio(source: str | Source, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a wav, flac or SPHERE file with one channel, the output of a command, or a stretch of either.

    Args:
        source: the file, or where else the audio comes from.
        sample_rate: the rate that it must have, in Hz.

    Returns:
        float32 (samples,), in the range of 16-bit integers whatever the file's own format.

    Raises:
        InputError: the file is missing, unreadable, empty, cut short, not audio, of several channels or at another
            rate; the command failed; or the stretch is not in the recording.
    """
    if isinstance(source, Excerpt):
        return _cut(_recording(source.recording, sample_rate), source, sample_rate)
    samples, rate = _run(source) if isinstance(source, Command) else _open(Path(source))
    if samples.shape[1] != 1:
        raise InputError(f"{source}: {samples.shape[1]} channels; expected one: mix or split them")
    if rate != sample_rate:
        raise InputError(f"{source}: {rate} Hz; expected {sample_rate} Hz: resample it")
    if len(samples) == 0:
        raise InputError(f"{source}: the audio file has no samples")
    if samples.dtype == np.int16:
        return samples[:, 0].astype(np.float32)
    if not np.isfinite(samples).all():
        raise InputError(f"{source}: has samples that are not finite numbers")
    return samples[:, 0] * np.float32(32768)


# The stretches of a recording follow each other in a list, so the last one is nearly always the one that is wanted.
@functools.lru_cache(maxsize=1)
def _recording(source: Path | Command, sample_rate: int) -> np.ndarray:
    return read_audio(source, sample_rate)


def _cut(recording: np.ndarray, excerpt: Excerpt, sample_rate: int) -> np.ndarray:
    """The samples of a stretch; one that ends a little after the recording is cut at its end, as in Kaldi."""
    seconds = len(recording) / sample_rate
    end = seconds if excerpt.end is None else excerpt.end
    if excerpt.start >= seconds or end > seconds + OVERSHOOT:
        raise InputError(f"{excerpt}: the recording has only {seconds:.2f} s; expected the stretch to lie in it")
    return recording[round(excerpt.start * sample_rate) : round(end * sample_rate)].copy()


def _open(path: Path) -> tuple[np.ndarray, int]:
    """Samples (samples, channels), int16 or float32 in -1 to 1, and rate of an audio file."""
    try:
        size = path.stat().st_size
        if size == 0:
            raise InputError(f"{path}: the audio file is empty (0 bytes)")
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                file.seek(0)
                return read_sphere(file.read(), str(path))
            _check_wav_length(file, size, str(path))
        return _read_soundfile(path, str(path))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error


def _run(command: Command) -> tuple[np.ndarray, int]:
    """Run a command and read the audio that it writes, as `_open`."""
    result = subprocess.run(command.line, shell=True, stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise InputError(f"{command}: the command failed with status {result.returncode}: {said[-1][:200]}")
    if not result.stdout:
        raise InputError(f"{command}: the command wrote no audio")
    if result.stdout.startswith(MAGIC):
        return read_sphere(result.stdout, str(command))
    _check_wav_length(io.BytesIO(result.stdout), len(result.stdout), str(command))
    return _read_soundfile(io.BytesIO(result.stdout), str(command))


def _read_soundfile(file: Path | io.BytesIO, name: str) -> tuple[np.ndarray, int]:
    """Samples (samples, channels), float32 in -1 to 1, and rate of what libsndfile reads."""
    try:
        with soundfile.SoundFile(file) as audio:
            promised, rate = audio.frames, audio.samplerate
            samples = audio.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{name}: not readable as audio, or cut short: {error.error_string}") from error
    if len(samples) < promised:
        raise InputError(f"{name}: cut short: {len(samples)} samples, the header says {promised}")
    return samples, rate


def _check_wav_length(file: BinaryIO, size: int, name: str) -> None:
    """Refuse a wav file with fewer bytes of audio than its header says, which libsndfile reads as a shorter one."""
    file.seek(0)
    if file.read(4) != b"RIFF" or file.seek(8) != 8 or file.read(4) != b"WAVE":
        return
    while len(header := file.read(8)) == 8:
        chunk, length = struct.unpack("<4sI", header)
        if chunk == b"data":
            there = size - file.tell()
            if there < length < UNKNOWN_LENGTH:
                raise InputError(f"{name}: cut short: {there} bytes of audio, the header says {length}")
            return
        file.seek(length + length % 2, 1)
