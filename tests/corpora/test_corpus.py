"""Data directories that are written are read back, and never written over another corpus."""

from pathlib import Path

import pytest

from vqbn.corpora.corpus import write_data_dir
from vqbn.errors import InputError
from vqbn.kaldi.datadir import Utterance, find_problems, read_data_dir

UTTERANCES = [
    Utterance("b-2", Path("/audio/b-2.wav"), "TWO WORDS", "b"),
    Utterance("a-1", Path("/audio/a-1.wav"), "ONE", "a"),
    Utterance("b-1", Path("/audio/b-1.wav"), "THREE", "b"),
]


def test_what_is_written_is_a_valid_data_directory_of_the_same_utterances(tmp_path):
    write_data_dir(tmp_path / "train", UTTERANCES, {"a": "f", "b": "m"})
    assert find_problems(tmp_path / "train") == []
    assert sorted(read_data_dir(tmp_path / "train").utterances.values(), key=lambda utterance: utterance.id) == sorted(
        UTTERANCES, key=lambda utterance: utterance.id
    )
    assert (tmp_path / "train/spk2utt").read_text() == "a a-1\nb b-1 b-2\n"
    assert (tmp_path / "train/spk2gender").read_text() == "a f\nb m\n"


def test_relative_audio_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data_dir("train", [Utterance("a-1", Path("x/a.wav"), "ONE", "a")])
    assert (tmp_path / "train/wav.scp").read_text() == f"a-1 {tmp_path}/x/a.wav\n"


def test_the_same_utterances_again_keep_what_later_stages_added(tmp_path):
    write_data_dir(tmp_path / "train", UTTERANCES)
    (tmp_path / "train/phones.ctm").write_text("kept")
    moved = [utterance.__class__(utterance.id, Path("/moved"), utterance.text, "c") for utterance in UTTERANCES]
    write_data_dir(tmp_path / "train", moved)
    assert (tmp_path / "train/phones.ctm").read_text() == "kept"
    assert {utterance.audio for utterance in read_data_dir(tmp_path / "train").utterances.values()} == {Path("/moved")}


@pytest.mark.parametrize("present", ["other utterances", "no data directory"])
def test_another_corpus_is_left_alone(tmp_path, present):
    if present == "other utterances":
        write_data_dir(tmp_path / "train", UTTERANCES[:1])
    else:
        (tmp_path / "train").mkdir()
        (tmp_path / "train/precious").write_text("thesis")
    before = {file: file.read_bytes() for file in (tmp_path / "train").iterdir()}
    with pytest.raises(InputError, match=r"train: .*remove it or write elsewhere"):
        write_data_dir(tmp_path / "train", UTTERANCES)
    assert {file: file.read_bytes() for file in (tmp_path / "train").iterdir()} == before


def test_no_utterances_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no utterances"):
        write_data_dir(tmp_path / "train", [])
    assert not (tmp_path / "train").exists()
