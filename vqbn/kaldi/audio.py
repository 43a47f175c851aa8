"""Audio files as Kaldi sees them: one channel of samples in the int16 range."""

import struct
from pathlib import Path

import numpy as np
import soundfile

from vqbn.errors import InputError

SAMPLE_RATE = 16000
# Programs that write wav to a pipe can't know the length and put a number near the largest possible here.
UNKNOWN_LENGTH = 0x7FFFF000


def read_audio(path: str | Path, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Read a wav or flac file with one channel.

    Args:
        path: the file.
        sample_rate: the rate that it must have, in Hz.

    Returns:
        float32 (samples,), in the range of 16-bit integers whatever the file's own format.

    Raises:
        InputError: the file is missing, unreadable, empty, cut short, not audio, of several channels or at another
            rate.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size == 0:
            raise InputError(f"{path}: the audio file is empty (0 bytes)")
        _check_wav_length(path, size)
        with soundfile.SoundFile(path) as file:
            if file.channels != 1:
                raise InputError(f"{path}: {file.channels} channels; expected one: mix or split them")
            if file.samplerate != sample_rate:
                raise InputError(f"{path}: {file.samplerate} Hz; expected {sample_rate} Hz: resample it")
            promised = file.frames
            samples = file.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: not readable as audio, or cut short: {error.error_string}") from error
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error
    if len(samples) < promised:
        raise InputError(f"{path}: cut short: {len(samples)} samples, the header says {promised}")
    if len(samples) == 0:
        raise InputError(f"{path}: the audio file has no samples")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: has samples that are not finite numbers")
    return samples * np.float32(32768)


def _check_wav_length(path: Path, size: int) -> None:
    """Refuse a wav file with fewer bytes of audio than its header says, which libsndfile reads as a shorter one."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF" or file.seek(8) != 8 or file.read(4) != b"WAVE":
            return
        while len(header := file.read(8)) == 8:
            chunk, length = struct.unpack("<4sI", header)
            if chunk == b"data":
                there = size - file.tell()
                if there < length < UNKNOWN_LENGTH:
                    raise InputError(f"{path}: cut short: {there} bytes of audio, the header says {length}")
                return
            file.seek(length + length % 2, 1)
