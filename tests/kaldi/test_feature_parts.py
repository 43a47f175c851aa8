"""Parts of a set's features: whole or not there, and made again only when something changed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqbn.kaldi.audio import Conversion, read_audio
from vqbn.kaldi.datadir import Utterance
from vqbn.kaldi.feature_parts import find_part, make_part, plan_parts, remove_other_parts
from vqbn.kaldi.features import log_mel


@pytest.fixture
def part(tmp_path):
    """A part of three utterances, the second of which is too short for a frame."""
    rng = np.random.default_rng(0)
    utterances = []
    for name, samples in (("a", 2000), ("b", 300), ("c", 4000)):
        soundfile.write(tmp_path / f"{name}.wav", rng.integers(-3000, 3000, samples).astype(np.int16), 16000)
        utterances.append(Utterance(name, tmp_path / f"{name}.wav", "X", "s"))
    return plan_parts(tmp_path / "dump", utterances, "kaldi")[0]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 1500, 20000])
def test_the_plan_covers_every_utterance_once(count):
    utterances = [Utterance(f"u{number:05}", Path("x.wav"), "X", "s") for number in range(count)]
    parts = plan_parts("dump", utterances, "kaldi")
    assert [key for part in parts for key in part.audio] == [utterance.id for utterance in utterances]
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert all(len(part.audio) <= 500 for part in parts)


def test_a_part_holds_its_features_and_names_its_defects(part):
    content = make_part(part)
    assert content.frames == {"a": 11, "c": 23}
    assert "b.wav: shorter than one window" in content.defects["b"]
    for key in content.frames:
        np.testing.assert_array_equal(content.archive[key], log_mel(read_audio(part.audio[key])))


def test_a_finished_part_is_found_again(part):
    assert find_part(part) is None
    content = make_part(part)
    assert find_part(part) == content


@pytest.mark.parametrize("change", ["audio", "defect mended", "settings", "utterances", "ark cut", "record cut"])
def test_a_part_is_not_reused_when_something_changed(part, change, tmp_path):
    make_part(part)
    if change == "audio":
        os.utime(tmp_path / "a.wav", ns=(0, 0))
    elif change == "defect mended":
        soundfile.write(tmp_path / "b.wav", np.ones(4000, np.int16), 16000)
    elif change == "settings":
        part = type(part)(part.folder, part.number, part.audio, "torchaudio")
    elif change == "utterances":
        part.audio.pop("c")
    elif change == "ark cut":
        os.truncate(part.ark, part.ark.stat().st_size - 1)
    else:
        os.truncate(part.record, part.record.stat().st_size // 2)
    assert find_part(part) is None


def test_what_was_converted_is_in_the_record(part, tmp_path):
    soundfile.write(tmp_path / "c.wav", np.ones((8000, 2), np.int16), 32000)
    content = make_part(part)
    assert content.conversions == {"c": Conversion(32000, 2)}
    assert find_part(part) == content


def test_a_part_whose_defects_are_none_any_more_is_made_again(part):
    make_part(part)
    record = json.loads(part.record.read_text())
    del record["conversions"]
    part.record.write_text(json.dumps(record))
    assert find_part(part) is None
    part.record.write_text(json.dumps(record | {"defects": {}}))
    assert find_part(part).frames == {"a": 11, "c": 23}


def test_an_interrupted_part_leaves_the_older_one(part, monkeypatch):
    content = make_part(part)
    before = part.ark.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vqbn.kaldi.feature_parts.log_mel", stop)
    with pytest.raises(KeyboardInterrupt):
        make_part(part)
    assert part.ark.read_bytes() == before
    assert find_part(part) == content
    assert sorted(path.name for path in part.folder.iterdir()) == ["feats.1.ark", "feats.1.json"]


def test_parts_of_an_earlier_larger_run_are_removed(part):
    make_part(part)
    for name in ("feats.2.ark", "feats.2.json", "feats.scp", "phones.ark"):
        (part.folder / name).touch()
    remove_other_parts([part])
    assert sorted(path.name for path in part.folder.iterdir()) == [
        "feats.1.ark",
        "feats.1.json",
        "feats.scp",
        "phones.ark",
    ]
