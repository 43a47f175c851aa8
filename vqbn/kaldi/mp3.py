"""MPEG audio (MP3), decoded to its last frame.

libsndfile takes the length from the Xing header that most encoders write, else guesses it from the file's size and the
first frame's bit rate; it gives no sample beyond that, which is too few where the bit rate varies.
"""

import contextlib
import io
import os
import struct
import threading
from typing import NamedTuple

import numpy as np
import soundfile

from vqbn.errors import InputError

# By the two bits of the version (3: 1, 2: 2, 0: 2.5), in Hz.
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# By whether it is version 1, and layer, in kbit/s from the index 1.
BIT_RATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
HAS_COUNT = 1  # the flag of a Xing header with the number of frames
# Xing headers may say in 12 bits each how many samples the encoder put before and after the sound: decoders drop them.
GAPLESS = 2 * 0xFFF
BLOCK = 1 << 16  # samples
ADVICE = "copy it again, or convert it to wav or flac"


class Frame(NamedTuple):
    """One frame of a file.

    Attributes:
        start: where it begins, in bytes.
        end: where it ends.
        samples: how many each channel has in it.
        xing: where in the file it has its Xing header, if it has one.
        stream: what all frames of a file share: version, layer, rate, and whether it is mono.
    """

    start: int
    end: int
    samples: int
    xing: int
    stream: tuple[int, int, int, bool]


def read_mpeg(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """Decode an MPEG audio file.

    Args:
        content: the whole file.
        name: what to call it in messages.

    Returns:
        float32 (samples, channels) in -1 to 1, and the rate in Hz.

    Raises:
        InputError: the file is damaged or cut short.
        soundfile.SoundFileError: libsndfile can't decode it.
    """
    frames = _frames(content, name)
    counted = _counted_frames(content, frames[0])
    # A header's frame holds no sound, but would be decoded as silence.
    if counted is not None:
        frames = frames[1:]
    # Some encoders count the header's own frame.
    if (counted or 0) > len(frames) + 1:
        raise InputError(f"{name}: cut short: {len(frames)} MPEG frames, the header says {counted}; {ADVICE}")
    most = sum(frame.samples for frame in frames)
    if frames and counted == len(frames):
        least = most - GAPLESS
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    else:
        least = most
        samples, rate = _decode_to_the_end(b"".join(content[frame.start : frame.end] for frame in frames))
    if not least <= len(samples) <= most:
        raise InputError(f"{name}: damaged: {len(samples)} samples decoded of {most}; {ADVICE}")
    return samples, rate


def _frames(content: bytes, name: str) -> list[Frame]:
    """The frames of a file, whole and in order; tags and zeros before, between and after them are passed over."""
    frames: list[Frame] = []
    place = 0
    while place < len(content):
        frame = _frame(content, place)
        if frame and frame.end <= len(content) and (not frames or frame.stream == frames[0].stream):
            frames.append(frame)
            place = frame.end
        elif skip := _tag_length(content, place):
            place += skip
        elif content[place] == 0:
            place += 1
        else:
            raise InputError(
                f"{name}: an MP3 that is damaged or cut short: no whole MPEG frame at byte {place} of {len(content)}; "
                + ADVICE
            )
    if not frames:
        raise InputError(f"{name}: an MP3 without audio; {ADVICE}")
    return frames


def _frame(content: bytes, place: int) -> Frame | None:
    """The frame that begins at `place`; None if none does whose length is known."""
    header = content[place : place + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer, mono = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[3] >> 6 == 3
    bit_rate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bit_rate in (0, 15) or rate == 3:
        return None
    first = version == 3
    samples = 384 if layer == 1 else 576 if layer == 3 and not first else 1152
    slot = 4 if layer == 1 else 1  # bytes
    bits = 1000 * BIT_RATES[first, layer][bit_rate - 1]
    length = (samples // 8 // slot * bits // RATES[version][rate] + padding) * slot
    side = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}[first, mono]
    return Frame(place, place + length, samples, place + 4 + side, (version, layer, rate, mono))


def _tag_length(content: bytes, place: int) -> int:
    """How many bytes a tag (ID3, APE) has that begins at `place`; 0 if none does."""
    head = content[place : place + 16]
    if head.startswith(b"ID3") and len(head) >= 10:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head.startswith(b"APETAGEX") and len(head) == 16:
        return 32 + struct.unpack_from("<I", head, 12)[0]
    return 128 if head.startswith(b"TAG") else 0


def _counted_frames(content: bytes, first: Frame) -> int | None:
    """How many frames a header in the first one counts, 0 if it doesn't say; None if that is a frame like others."""
    if first.stream[1] == 3 and content[first.xing : first.xing + 4] in (b"Xing", b"Info"):
        flags, count = struct.unpack_from(">II", content.ljust(first.xing + 12, b"\0"), first.xing + 4)
        return count if flags & HAS_COUNT else 0
    # Fraunhofer's header, which libsndfile does not know.
    return 0 if content[first.start + 36 : first.start + 40] == b"VBRI" else None


def _decode_to_the_end(stream: bytes) -> tuple[np.ndarray, int]:
    """Samples (samples, channels) and rate of MPEG frames; from a pipe libsndfile reads on without guessing."""
    source, sink = os.pipe()

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), open(sink, "wb") as file:
            file.write(stream)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        with soundfile.SoundFile(source) as audio:
            blocks = [np.zeros((0, audio.channels), np.float32)]
            while len(block := audio.read(BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
            return np.concatenate(blocks), audio.samplerate
    finally:
        feeder.join()
