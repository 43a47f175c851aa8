"""The command vqbn-make-mini-speech."""

from vqbn.bin.make_mini_speech import main


def test_it_makes_a_corpus_in_a_folder_of_the_callers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--out", "here", "--utterances", "12", "--seed", "5"]) == 0
    assert sorted(file.name for file in (tmp_path / "here").iterdir()) == ["dev", "mini_speech.json", "train", "wavs"]
    assert str(tmp_path / "here/wavs") in (tmp_path / "here/train/wav.scp").read_text()


def test_too_few_utterances_are_refused_in_one_line(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "x"), "--utterances", "3"]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert error == ["vqbn-make-mini-speech: error: --utterances 3: expected at least 12, so that every voice speaks"]
    assert not (tmp_path / "x").exists()
