"""SPHERE files: every sample as it was, and a reason for every file that is not what its header says."""

import contextlib
import sys

import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.sphere import read_sphere

# ITU-T G.711: the value of some µ-law codes.
MU_LAW_VALUES = {0x00: -32124, 0x7F: 0, 0x80: 32124, 0xFF: 0, 0xFE: 8, 0x7E: -8, 0x8F: 16764, 0xEF: 132}


@pytest.fixture
def speech():
    """2,000 samples of 16 bits: a tone, a stretch of silence, noise, extremes. Not a multiple of shorten's block."""
    time = np.arange(2000)
    samples = (8000 * np.sin(time / 9) + np.random.default_rng(0).normal(0, 50, 2000)).astype(np.int16)
    samples[600:1300] = 0
    samples[1500:1502] = -(2**15), 2**15 - 1
    return samples


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("coding", ["pcm", "pcm-low", "shorten"])
def test_samples_come_back_exactly(sphere_files, tmp_path, speech, monkeypatch, coding, native):
    if not native:
        monkeypatch.setitem(sys.modules, "desphere_native", None)
    path = tmp_path / "4k0c030a.wv1"
    path.write_bytes(sphere_files.sphere(speech, coding))
    audio = read_audio(path)
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio, speech)


def test_shorten_makes_speech_smaller(sphere_files, speech):
    assert len(sphere_files.sphere(speech, "shorten")) < 0.8 * len(sphere_files.sphere(speech, "pcm"))


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("coding", ["ulaw", "shorten"])
def test_mu_law_codes_have_the_values_of_the_standard(sphere_files, monkeypatch, coding, native):
    if not native:
        monkeypatch.setitem(sys.modules, "desphere_native", None)
    codes = np.arange(256, dtype=np.uint8)
    samples, rate = read_sphere(sphere_files.sphere(codes, coding, rate=8000), "x")
    assert rate == 8000
    for code, value in MU_LAW_VALUES.items():
        assert samples[code, 0] == value
    assert (np.diff(samples[:128, 0].astype(int)) > 0).all()


def test_channels_are_kept_apart(sphere_files, speech):
    both = np.stack([speech, speech[::-1]], 1)
    for coding in ("pcm", "shorten"):
        samples, _ = read_sphere(sphere_files.sphere(both, coding), "x")
        np.testing.assert_array_equal(samples, both)


@pytest.mark.parametrize("coding", ["pcm", "shorten"])
@pytest.mark.parametrize("keep", [3, 20, 500, 1024, 1030, 0.5, 0.9])
def test_a_cut_file_is_refused(sphere_files, tmp_path, speech, coding, keep):
    path = tmp_path / "a.wv1"
    content = sphere_files.sphere(speech, coding)
    path.write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(InputError, match=r"a\.wv1: ") as error:
        read_audio(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("coding", ["pcm", "shorten"])
@pytest.mark.parametrize(("count", "said"), [(2500, "cut short"), (500, "longer than its header says")])
def test_a_header_that_lies_about_the_samples_is_refused(sphere_files, tmp_path, speech, coding, count, said):
    path = tmp_path / "a.wv1"
    path.write_bytes(sphere_files.sphere(speech, coding, count=count))
    with pytest.raises(InputError, match=rf"a\.wv1: {said}: 2000 samples, the header says {count}"):
        read_audio(path)


def test_padding_at_the_end_is_no_lie(sphere_files, tmp_path, speech):
    (tmp_path / "a.wv1").write_bytes(sphere_files.sphere(speech) + bytes(1023))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wv1"), speech)


def test_what_is_wrong_with_a_file_is_said(sphere_files, tmp_path, speech):
    sphere = sphere_files.sphere
    good = sphere(speech)
    files = {
        "none": (sphere(speech[:0]), "no samples"),
        "coding": (sphere(speech, sample_coding="pcm,embedded-wavpack"), "embedded-wavpack"),
        "order": (sphere(speech, sample_byte_format="11"), "sample_byte_format '11'"),
        "wide": (sphere(speech, sample_n_bytes=3), "24-bit"),
        "count": (sphere(speech, sample_count="many"), "sample_count"),
        "header": (good.replace(b"end_head", b"end____d"), "end_head|malformed"),
        "channels": (sphere(speech, "shorten", channel_count=2), "1 channels, the header says 2"),
        "noise": (sphere(speech, sample_coding="pcm,embedded-shorten-v2.00"), "damaged"),
    }
    for name, (content, message) in files.items():
        (tmp_path / f"{name}.wv1").write_bytes(content)
        with pytest.raises(InputError, match=message) as error:
            read_audio(tmp_path / f"{name}.wv1")
        assert str(error.value).startswith(str(tmp_path / f"{name}.wv1: "))


def test_without_desphere_the_message_says_what_to_install(sphere_files, monkeypatch, speech):
    monkeypatch.setitem(sys.modules, "desphere", None)
    with pytest.raises(InputError, match="--extras wsj"):
        read_sphere(sphere_files.sphere(speech), "x")


@pytest.mark.parametrize("damage", range(30))
def test_damage_anywhere_is_one_line_or_harmless(sphere_files, speech, damage):
    rng = np.random.default_rng(damage)
    content = bytearray(sphere_files.sphere(speech[:700], "shorten"))
    for place in rng.integers(0, len(content), 3):
        content[place] = rng.integers(256)
    with contextlib.suppress(InputError):
        samples, _ = read_sphere(bytes(content), "x")
        assert samples.ndim == 2
