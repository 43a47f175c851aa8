"""Audio files as Kaldi sees them: one channel of samples in the int16 range, at one rate."""

import functools
import io
import logging
import shlex
import struct
import subprocess
from collections import Counter
from collections.abc import Iterable
from math import gcd
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile

from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.kaldi.mp3 import read_mpeg
from vqbn.kaldi.source import ArchiveItem, Channel, Command, Excerpt, Recording, Source
from vqbn.kaldi.sphere import MAGIC, read_sphere

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16000
# What sound is recorded at, in Hz; another rate comes from a damaged header.
RATES = range(1000, 768_001)
# Programs that write wav to a pipe can't know the length and put a number near the largest possible here.
UNKNOWN_LENGTH = 0x7FFFF000
# Names of files with samples alone, whose rate and format nothing says.
HEADERLESS = (".raw", ".pcm")
# How far a stretch may reach beyond its recording, in seconds; Kaldi's extract-segments allows as much.
OVERSHOOT = 0.5


class Conversion(NamedTuple):
    """What was done to make one channel at one rate of a recording.

    Attributes:
        rate: the rate that it was resampled from, in Hz; 0 if it was not.
        channels: of how many channels the first was taken because nothing says which; 0 if there was no choice.
    """

    rate: int = 0
    channels: int = 0


def read_audio(source: str | Source, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """The samples of `read_converted`."""
    return read_converted(source, sample_rate)[0]


def read_converted(source: str | Source, sample_rate: int = SAMPLE_RATE) -> tuple[np.ndarray, Conversion]:
    """Read a wav, flac, MP3 or SPHERE file, one in an archive, the output of a command, or a stretch of these.

    Of several channels the first is taken, as Kaldi does, unless `source` says which. Another rate is resampled.

    Args:
        source: the file, or where else the audio comes from.
        sample_rate: the rate that the samples get, in Hz.

    Returns:
        float32 (samples,), in the range of 16-bit integers whatever the file's own format, and what was converted.

    Raises:
        InputError: the file is missing, unreadable, empty, cut short, not audio, headerless or without the channel; the
            command failed; or the stretch is not in the recording.
    """
    if isinstance(source, Excerpt):
        samples, conversion = _recording(source.recording, sample_rate)
        return _cut(samples, source, sample_rate), conversion
    recording, number = (source.recording, source.number) if isinstance(source, Channel) else (source, None)
    samples, rate = _open(recording)
    if len(samples) == 0:
        raise InputError(f"{source}: the audio file has no samples")
    if rate not in RATES:
        raise InputError(f"{source}: {rate} Hz; expected {RATES[0]} to {RATES[-1]} Hz: its header is damaged")
    channels = samples.shape[1]
    if (number or 1) > channels > 1:
        raise InputError(f"{recording}: has {channels} channels; expected channel {number} among them (--channel)")
    samples = samples[:, 0 if channels == 1 else (number or 1) - 1]
    if not np.isfinite(samples).all():
        raise InputError(f"{source}: has samples that are not finite numbers")
    samples = samples.astype(np.float32) if samples.dtype == np.int16 else samples * np.float32(32768)
    conversion = Conversion(0 if rate == sample_rate else rate, channels if channels > 1 and number is None else 0)
    return resample(samples, rate, sample_rate), conversion


def resample(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Resample with a polyphase filter.

    Args:
        samples: float (samples,).
        rate: theirs, in Hz.
        sample_rate: the wanted one, in Hz.

    Returns:
        The same array where the rates are equal; else float32 (ceil(samples · sample_rate / rate),).
    """
    if rate == sample_rate:
        return samples
    # scipy.signal takes half a second to import, and few corpora need it.
    from scipy.signal import resample_poly

    divisor = gcd(sample_rate, rate)
    return resample_poly(samples.astype(np.float64), sample_rate // divisor, rate // divisor).astype(np.float32)


def log_conversions(conversions: Iterable[Conversion], sample_rate: int = SAMPLE_RATE) -> None:
    """Say once, with the counts, what was converted; nothing if nothing was."""
    conversions = list(conversions)
    if several := sum(conversion.channels > 0 for conversion in conversions):
        logger.warning(
            "%d utterances are of recordings with several channels: took the first one; --channel takes another, and "
            "reco2file_and_channel in the data directory says which for each recording",
            several,
        )
    if rates := Counter(conversion.rate for conversion in conversions if conversion.rate):
        counts = ", ".join(f"{count} from {rate} Hz" for rate, count in sorted(rates.items()))
        logger.info("resampled %d utterances to %d Hz: %s", rates.total(), sample_rate, counts)


def write_wav(target: str | Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write a 16-bit wav file, whole or not at all.

    Args:
        target: the file.
        samples: int16 (samples,) or (samples, channels).
        sample_rate: in Hz.

    Raises:
        OSError: the folder can't be written or the disk is full, of which libsndfile would not say which file and why.
    """
    content = io.BytesIO()
    soundfile.write(content, samples, sample_rate, format="WAV", subtype="PCM_16")
    with replacing(target) as temporary:
        temporary.write_bytes(content.getbuffer())


# The stretches of a recording follow each other in a list, so the last one is nearly always the one that is wanted.
@functools.lru_cache(maxsize=1)
def _recording(source: Recording, sample_rate: int) -> tuple[np.ndarray, Conversion]:
    return read_converted(source, sample_rate)


def _cut(recording: np.ndarray, excerpt: Excerpt, sample_rate: int) -> np.ndarray:
    """The samples of a stretch; one that ends a little after the recording is cut at its end, as in Kaldi."""
    seconds = len(recording) / sample_rate
    end = seconds if excerpt.end is None else excerpt.end
    if excerpt.start >= seconds or end > seconds + OVERSHOOT:
        raise InputError(f"{excerpt}: the recording has only {seconds:.2f} s; expected the stretch to lie in it")
    return recording[round(excerpt.start * sample_rate) : round(end * sample_rate)].copy()


def _open(source: str | Path | ArchiveItem | Command) -> tuple[np.ndarray, int]:
    """Samples (samples, channels), int16 or float32 in -1 to 1, and rate of a whole recording."""
    name = str(source)
    if isinstance(source, Command):
        return _decode(io.BytesIO(_run(source)), name)
    try:
        if isinstance(source, ArchiveItem):
            with open(source.path, "rb") as file:
                return _decode(io.BytesIO(_item(file, source)), name)
        with open(source, "rb") as file:
            return _decode(file, name)
    except OSError as error:
        raise InputError(f"{name}: can't be read: {error.strerror or error}") from error


def _run(command: Command) -> bytes:
    """What a command writes."""
    result = subprocess.run(command.line, shell=True, stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise InputError(f"{command}: the command failed with status {result.returncode}: {said[-1][:200]}")
    if not result.stdout:
        raise InputError(f"{command}: the command wrote no audio")
    return result.stdout


def _item(file: BinaryIO, item: ArchiveItem) -> bytes:
    """The audio file that begins at an offset of an archive: wav, as Kaldi's wav-copy writes it, or kaldiio's."""
    file.seek(item.offset)
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        length = 8 + struct.unpack_from("<I", head, 4)[0]
        file.seek(item.offset)
    elif head[:5] == b"AUDIO":
        file.seek(item.offset + 5)
        length = int.from_bytes(file.read(ord(file.read(1) or b"\0")), "little")
    else:
        raise InputError(f"{item}: no audio begins there; expected a wav file, as Kaldi's wav-copy writes it")
    content = file.read(length)
    if len(content) < length:
        raise InputError(f"{item}: cut short: {len(content)} bytes are left in the archive, the header says {length}")
    return content


def _decode(file: BinaryIO, name: str) -> tuple[np.ndarray, int]:
    """Samples (samples, channels), int16 or float32 in -1 to 1, and rate of an audio file, by what is in it."""
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise InputError(f"{name}: the audio file is empty (0 bytes)")
    file.seek(0)
    if file.read(len(MAGIC)) == MAGIC:
        file.seek(0)
        return read_sphere(file.read(), name)
    if place := _unknown_length(file, size, name):
        file.seek(0)
        content = bytearray(file.read())
        struct.pack_into("<I", content, place, min(size - place - 4, 0xFFFFFFFF))
        file = io.BytesIO(content)
    try:
        with soundfile.SoundFile(_by_content(file)) as audio:
            kind, promised, rate = audio.format, audio.frames, audio.samplerate
            samples = audio.read(dtype="float32", always_2d=True) if kind != "MP3" else None
        if samples is None:
            file.seek(0)
            return read_mpeg(file.read(), name)
    except soundfile.SoundFileError as error:
        if Path(name).suffix.lower() in HEADERLESS:
            wrapped = f"sox -t raw -r 16000 -e signed -b 16 -c 1 {shlex.quote(name)} -t wav - |"
            raise InputError(f"{name}: headerless audio; say what it is by a command in wav.scp: {wrapped}") from error
        said = getattr(error, "error_string", error)
        raise InputError(f"{name}: not readable as audio, or cut short: {said}") from error
    if len(samples) < promised:
        raise InputError(f"{name}: cut short: {len(samples)} samples, the header says {promised}")
    return samples, rate


def _by_content(file: BinaryIO) -> str | io.BytesIO:
    """What libsndfile opens: a file on disk by its path, which is faster, unless its name stands for no header."""
    path = getattr(file, "name", "")
    file.seek(0)
    return file if not path else io.BytesIO(file.read()) if Path(path).suffix.lower() in HEADERLESS else str(path)


def _unknown_length(file: BinaryIO, size: int, name: str) -> int:
    """Where a wav file says that it has no audio but goes on to its end with it, as a stream does; else 0.

    Raises:
        InputError: it has fewer bytes of audio than its header says, which libsndfile reads as a shorter file.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 0
    end = 8 + struct.unpack_from("<I", head, 4)[0]
    while len(header := file.read(8)) == 8:
        chunk, length = struct.unpack("<4sI", header)
        if chunk == b"data":
            start = file.tell()
            if size - start < length < UNKNOWN_LENGTH:
                raise InputError(f"{name}: cut short: {size - start} bytes of audio, the header says {length}")
            # Within the length of the whole, other chunks may follow no audio.
            return start - 4 if length == 0 and not start < end <= size else 0
        file.seek(length + length % 2, 1)
    return 0
