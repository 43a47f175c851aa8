"""Audio: whole files in Kaldi's sample range, and a reason for every other file."""

import numpy as np
import pytest
import soundfile

from vqbn.errors import InputError
from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.source import Command, Excerpt

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


def test_what_is_wrong_with_a_file_is_said(tmp_path, samples):
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], 1), RATE)
    soundfile.write(tmp_path / "slow.wav", samples, 8000)
    soundfile.write(tmp_path / "none.wav", samples[:0], RATE)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), RATE, subtype="FLOAT")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is not audio at all, whatever its name says")
    for name, message in {
        "stereo": "2 channels; expected one",
        "slow": "8000 Hz; expected 16000 Hz",
        "none": "no samples",
        "nan": "not finite",
        "empty": "empty",
        "text": "not readable as audio",
        "missing": "can't be read: No such file",
    }.items():
        with pytest.raises(InputError, match=message) as error:
            read_audio(tmp_path / f"{name}.wav")
        assert str(error.value).startswith(str(tmp_path / f"{name}.wav:"))


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
