"""Audio: whole files in Kaldi's sample range, whatever people have; and a reason for every other file."""

import io
import resource
import struct

import kaldiio
import numpy as np
import pytest
import soundfile

from vqbn.errors import InputError
from vqbn.kaldi.audio import Conversion, log_conversions, read_audio, read_converted, resample, write_wav
from vqbn.kaldi.source import ArchiveItem, Channel, Command, Excerpt

RATE = 16000


@pytest.fixture
def samples():
    """A tenth of a second of 16-bit noise, extremes included."""
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, RATE // 10).astype(np.int16)
    noise[:2] = -(2**15), 2**15 - 1
    return noise


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_samples_come_back_exactly(tmp_path, samples, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", samples, RATE)
    audio = read_audio(tmp_path / f"a.{suffix}")
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio, samples)


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
def test_other_sample_formats_have_the_same_range(tmp_path, samples, subtype):
    soundfile.write(tmp_path / "a.wav", samples / 32768, RATE, subtype=subtype)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), samples, atol=0.01)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("keep", [0.5, 0.999, 60])
def test_a_cut_file_is_refused(tmp_path, samples, suffix, keep):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, samples, RATE)
    content = path.read_bytes()
    path.write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(InputError, match=rf"a\.{suffix}: .*cut short"):
        read_audio(path)


def test_a_wav_from_a_pipe_with_unknown_length_is_read(tmp_path, samples):
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE)
    content = bytearray(path.read_bytes())
    start = content.index(b"data") + 4
    content[start : start + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_audio(path), samples)


def with_lengths(content, riff, data):
    """A wav file whose header says other lengths; None leaves one as it is."""
    content = bytearray(content)
    for place, length in ((4, riff), (content.index(b"data") + 4, data)):
        if length is not None:
            struct.pack_into("<I", content, place, length)
    return bytes(content)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("lengths", [(0, 0), (0xFFFFFFFF, 0), (36, 0), (0, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_a_wav_in_stream_mode_is_read_to_its_end(tmp_path, samples, lengths, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE, subtype=subtype)
    whole = read_audio(path)
    path.write_bytes(with_lengths(path.read_bytes(), *lengths))
    np.testing.assert_array_equal(read_audio(path), whole)
    np.testing.assert_array_equal(read_audio(Command(f"cat {path}")), whole)


def test_a_wav_without_audio_before_other_chunks_has_no_samples(tmp_path, samples):
    path = tmp_path / "a.wav"
    soundfile.write(path, samples[:0], RATE)
    content = path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO"
    path.write_bytes(with_lengths(content, len(content) - 8, None))
    with pytest.raises(InputError, match="no samples"):
        read_audio(path)


def test_what_is_wrong_with_a_file_is_said(tmp_path, samples):
    soundfile.write(tmp_path / "none.wav", samples[:0], RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "rate.wav", samples, 16)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is not audio at all, whatever its name says")
    (tmp_path / "folder.wav").mkdir()
    for name, message in {
        "none": "no samples",
        "nan": "not finite",
        "rate": "16 Hz; expected 1000 to 768000 Hz",
        "empty": "empty",
        "text": "not readable as audio",
        "missing": "can't be read: No such file",
        "folder": "can't be read: Is a directory",
    }.items():
        with pytest.raises(InputError, match=message) as error:
            read_audio(tmp_path / f"{name}.wav")
        assert str(error.value).startswith(str(tmp_path / f"{name}.wav:"))


@pytest.mark.parametrize("name", ["a.raw", "a.RAW", "a.pcm"])
def test_headerless_audio_is_refused_with_the_way_out(tmp_path, samples, name):
    path = tmp_path / name
    path.write_bytes(samples.tobytes())
    with pytest.raises(InputError, match=rf"{name}: headerless audio; .* in wav\.scp: sox .* \|$"):
        read_audio(path)


def test_a_file_is_what_is_in_it_whatever_its_name_says(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    (tmp_path / "a.wav").rename(tmp_path / "a.raw")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.raw"), samples)


@pytest.mark.parametrize("suffix", ["wav", "flac", "wv1"])
def test_of_several_channels_the_first_is_taken_or_the_one_that_is_named(tmp_path, samples, suffix, sphere_files):
    path, both = tmp_path / f"a.{suffix}", np.stack([samples, samples[::-1]], 1)
    if suffix == "wv1":
        path.write_bytes(sphere_files.sphere(both, "shorten"))
    else:
        soundfile.write(path, both, RATE)
    audio, conversion = read_converted(path)
    np.testing.assert_array_equal(audio, samples)
    assert conversion == Conversion(channels=2)
    for number in (1, 2):
        audio, conversion = read_converted(Channel(path, number))
        np.testing.assert_array_equal(audio, both[:, number - 1])
        assert conversion == Conversion()
        stretch = read_audio(Excerpt(Channel(path, number), 0.02, 0.05))
        np.testing.assert_array_equal(stretch, both[320:800, number - 1])
    with pytest.raises(InputError, match=rf"a\.{suffix}: has 2 channels; expected channel 3"):
        read_audio(Channel(path, 3))


def test_a_recording_with_one_channel_gives_that_one(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    np.testing.assert_array_equal(read_audio(Channel(tmp_path / "a.wav", 2)), samples)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000, 44056])
def test_any_rate_is_resampled(tmp_path, rate):
    def tone(at):
        return 8000 * np.sin(2 * np.pi * 1000 * np.arange(at // 2) / at)

    soundfile.write(tmp_path / "a.wav", np.rint(tone(rate)).astype(np.int16), rate)
    audio, conversion = read_converted(tmp_path / "a.wav")
    assert audio.dtype == np.float32
    assert conversion == Conversion(rate=rate)
    assert len(audio) == RATE // 2
    np.testing.assert_allclose(audio[200:-200], tone(RATE)[200:-200], atol=60)
    np.testing.assert_array_equal(read_audio(Excerpt(tmp_path / "a.wav", 0.1, 0.2)), audio[1600:3200])


def test_what_the_wanted_rate_can_not_hold_is_filtered_out():
    high = np.sin(2 * np.pi * 10000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.abs(resample(high, 44100, RATE)[200:-200]).max() < 0.01


def test_conversions_are_said_once_with_their_counts(caplog):
    caplog.set_level("INFO")
    log_conversions([Conversion(), Conversion()])
    assert caplog.messages == []
    log_conversions([Conversion(), Conversion(8000), Conversion(44100, 2), Conversion(8000, 2), Conversion(0, 3)])
    channels, rates = caplog.messages
    assert channels.startswith("3 utterances are of recordings with several channels: took the first one; --channel")
    assert rates == "resampled 3 utterances to 16000 Hz: 2 from 8000 Hz, 1 from 44100 Hz"


def wav(samples, rate=RATE):
    """A wav file's content."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="WAV")
    return content.getvalue()


def test_audio_in_archives_is_read_at_its_offset(tmp_path, samples):
    parts = [samples, samples[:801], samples[::-1]]
    with open(tmp_path / "wav.ark", "wb") as file:
        offsets = []
        for number, part in enumerate(parts):
            file.write(f"u{number} ".encode())
            offsets.append(file.tell())
            file.write(wav(part))
    for part, offset in zip(parts, offsets, strict=True):
        np.testing.assert_array_equal(read_audio(ArchiveItem(tmp_path / "wav.ark", offset)), part)
    item = ArchiveItem(tmp_path / "wav.ark", offsets[1])
    np.testing.assert_array_equal(read_audio(Excerpt(item, 0.01, 0.02)), samples[160:320])


def test_archives_of_flac_that_kaldiio_writes_are_read(tmp_path, samples):
    ark, scp = str(tmp_path / "flac.ark"), str(tmp_path / "wav.scp")
    items = {"a": (samples, RATE), "b": (samples[::-1].copy(), RATE)}
    kaldiio.save_ark(ark, items, scp=scp, write_function="soundfile", write_kwargs={"format": "flac"})
    for line in (tmp_path / "wav.scp").read_text().splitlines():
        key, _, place = line.partition(" ")
        item = ArchiveItem(tmp_path / "flac.ark", int(place.rpartition(":")[2]))
        np.testing.assert_array_equal(read_audio(item), items[key][0])


def test_what_is_wrong_with_an_archive_is_said(tmp_path, samples):
    path = tmp_path / "wav.ark"
    content = wav(samples)
    path.write_bytes(b"u " + content + b"v PKL" + content[:1000] + b"w " + with_lengths(content[:99], 0, 0))
    for offset, message in {
        0: "no audio begins there; expected a wav file",
        4 + len(content): "no audio begins there",
        10**6: "no audio begins there",
        7 + len(content): "cut short",
        9 + len(content) + 1000: "not readable as audio",
    }.items():
        with pytest.raises(InputError, match=message) as error:
            read_audio(ArchiveItem(path, offset))
        assert str(error.value).startswith(f"{path}:{offset}: ")
    with pytest.raises(InputError, match=r"none\.ark:3: can't be read: No such file"):
        read_audio(ArchiveItem(tmp_path / "none.ark", 3))


def test_a_wav_is_written_whole_or_not_at_all(tmp_path, samples):
    write_wav(tmp_path / "a.wav", samples, RATE)
    soundfile.write(tmp_path / "b.wav", samples, RATE, subtype="PCM_16")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # as a disk that is full after 1,000 bytes
    try:
        with pytest.raises(OSError, match=r"File too large: .*/c\.wav"):
            write_wav(tmp_path / "c.wav", samples, RATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def test_another_rate_can_be_asked_for(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    assert len(read_audio(tmp_path / "a.wav", sample_rate=8000)) == len(samples)


def test_a_command_is_run_and_what_it_writes_is_read(tmp_path, samples, sphere_files):
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    (tmp_path / "a.wv1").write_bytes(sphere_files.sphere(samples, "shorten"))
    for line in (f"cat {tmp_path}/a.wav", f"cat < '{tmp_path}/a.wv1' | cat"):
        np.testing.assert_array_equal(read_audio(Command(line)), samples)


def test_what_is_wrong_with_a_command_is_said(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    for line, message in {
        "echo first >&2; echo no such option >&2; exit 3": "failed with status 3: no such option",
        "sph2pipe-that-is-not-there x": "failed with status 127: .*not found",
        "true": "wrote no audio",
        "echo this is not audio at all, whatever": "not readable as audio",
        f"head -c 1000 {tmp_path}/a.wav": "cut short",
    }.items():
        with pytest.raises(InputError, match=message) as error:
            read_audio(Command(line))
        assert str(error.value).startswith(f"{line} |: ")


def test_a_stretch_of_a_recording_is_cut_from_it(tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    path = tmp_path / "a.wav"
    np.testing.assert_array_equal(read_audio(Excerpt(path, 0.02, 0.05)), samples[320:800])
    np.testing.assert_array_equal(read_audio(Excerpt(Command(f"cat {path}"), 0.09, None)), samples[1440:])
    np.testing.assert_array_equal(read_audio(Excerpt(path, 0.09, 0.3)), samples[1440:])
    for start, end in ((0.02, 0.7), (0.1, 0.2)):
        with pytest.raises(InputError, match=r"a\.wav from .*: the recording has only 0\.10 s"):
            read_audio(Excerpt(path, start, end))
