"""MP3: every sample that the frames hold, whatever the header says or leaves out, or a refusal."""

import io

import numpy as np
import pytest
import soundfile

from vqbn.errors import InputError
from vqbn.kaldi import mp3
from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.mp3 import read_mpeg
from vqbn.kaldi.source import Command

ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x23" + bytes(35)
SECONDS = 2
ENCODER_DELAY = 1105  # samples that LAME and the decoder put before the sound


def speech_like(rate, channels=1):
    """A quiet tone, then noise, whose frames need more bits."""
    time = np.arange(SECONDS * rate) / rate
    noise = np.random.default_rng(0).normal(0, 0.1, len(time))
    return np.stack([np.where(time < SECONDS / 2, 0.01 * np.sin(2000 * time), noise)] * channels, 1)


def encode(rate=16000, mode="VARIABLE", channels=1):
    """An MP3 with a Xing header, as LAME writes it, and its frames."""
    content = io.BytesIO()
    soundfile.write(content, speech_like(rate, channels), rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return content.getvalue(), mp3._frames(content.getvalue(), "x.mp3")


def count_of(content, count, flags=1):
    """The file with another number of frames in its Xing header."""
    place = mp3._frames(content, "x.mp3")[0].xing
    return content[: place + 4] + flags.to_bytes(4, "big") + count.to_bytes(4, "big") + content[place + 12 :]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_without_a_header_every_frame_is_decoded(rate, mode, channels):
    content, frames = encode(rate, mode, channels)
    sound, _ = read_mpeg(content, "x.mp3")
    assert len(sound) == SECONDS * rate
    bare = content[frames[0].end :]
    for whole in (bare, ID3 + bare, bare + b"TAG" + bytes(125), ID3 + bare + bytes(1000), bare + ID3 + bytes(3)):
        samples, found = read_mpeg(whole, "x.mp3")
        assert (samples.dtype, found) == (np.float32, rate)
        assert samples.shape == (sum(frame.samples for frame in frames[1:]), channels)
        np.testing.assert_allclose(samples[ENCODER_DELAY:][: len(sound)], sound, atol=1e-6)


def test_a_header_without_a_count_or_with_a_smaller_one_does_not_shorten():
    content, frames = encode()
    bare, _ = read_mpeg(content[frames[0].end :], "x.mp3")
    # The last one is Fraunhofer's header, of which libsndfile knows nothing.
    start, end = frames[0].start, frames[0].end
    vbri = content[: start + 4] + bytes(32) + b"VBRI" + bytes(end - start - 40)
    for changed in (count_of(content, 0, flags=0), count_of(content, 5), vbri + content[end:]):
        np.testing.assert_array_equal(read_mpeg(changed, "x.mp3")[0], bare)


def test_a_header_that_counts_its_own_frame_is_no_defect():
    content, frames = encode()
    assert len(read_mpeg(count_of(content, len(frames)), "x.mp3")[0]) == sum(frame.samples for frame in frames[1:])


def test_two_files_in_one_are_both_decoded():
    content, frames = encode()
    bare = content[frames[0].end :]
    samples, _ = read_mpeg(content + ID3 + bare, "x.mp3")
    assert len(samples) == 2 * sum(frame.samples for frame in frames[1:])


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_a_cut_or_damaged_file_is_refused(mode):
    content, frames = encode(mode=mode)
    bare = content[frames[0].end :]
    middle = frames[len(frames) // 2]
    for broken in (
        content[: middle.start],
        content[: middle.start + 30],
        bare[: len(bare) // 2 + 7],
        content[: middle.start] + b"\x55" * 100 + content[middle.end :],
        content[: middle.start] + encode(24000)[0],
        ID3,
    ):
        with pytest.raises(InputError, match=r"^x\.mp3: .*(cut short|damaged|without audio).*"):
            read_mpeg(broken, "x.mp3")


def test_audio_is_read_from_a_file_and_from_a_command(tmp_path):
    content, frames = encode(8000)
    path = tmp_path / "a.mp3"
    path.write_bytes(content[frames[0].end :])
    samples = read_audio(path)
    assert len(samples) == 2 * sum(frame.samples for frame in frames[1:])
    np.testing.assert_array_equal(read_audio(Command(f"cat {path}")), samples)
    path.write_bytes(content[: frames[9].start + 5])
    with pytest.raises(InputError, match=r"a\.mp3: .*cut short"):
        read_audio(path)
