"""vqbn-validate-data-dir."""

import numpy as np
import pytest
import soundfile

from vqbn.bin.validate_data_dir import main


@pytest.fixture
def folder(tmp_path):
    """A data directory of 20 utterances with audio."""
    names = [f"u{number:02}" for number in range(20)]
    (tmp_path / "wav").mkdir()
    for name in names:
        soundfile.write(tmp_path / f"wav/{name}.wav", np.ones(800, np.int16), 16000)
    (tmp_path / "wav.scp").write_text("".join(f"{name} wav/{name}.wav\n" for name in names))
    (tmp_path / "text").write_text("".join(f"{name} HELLO\n" for name in names))
    (tmp_path / "utt2spk").write_text("".join(f"{name} s\n" for name in names))
    return tmp_path


def test_a_good_directory_passes(folder, capsys):
    assert main([str(folder), "--audio_root", str(folder), "--check_audio", "--nj", "1"]) == 0
    assert capsys.readouterr().out == f"{folder}: good: 20 utterances, 1 speakers\n"


def test_every_problem_is_printed_and_the_status_is_1(folder, capsys):
    lines = (folder / "text").read_text().splitlines()
    (folder / "text").write_text("\n".join([lines[1], lines[0], *lines[2:], lines[2]]) + "\n")
    assert main([str(folder), "--audio_root", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"{folder}/text:2: not sorted: 'u00' comes after 'u01'; sort the file with LC_ALL=C sort",
        f"{folder}/text:21: 'u02' is here twice, first on line 3; keep one of them",
        f"vqbn-validate-data-dir: error: {folder}: 2 problems",
    ]


def test_many_problems_are_cut(folder, capsys):
    (folder / "utt2spk").write_text("u00 s\n")
    assert main([str(folder), "--max_problems", "5"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 6
    assert err[-1].endswith("19 problems; 14 more are not shown (--max_problems)")


def test_a_missing_directory_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")]) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2
    assert "nowhere: no such folder" in err[0]


def test_item_defects_are_named_and_limited(folder, capsys, caplog):
    options = [str(folder), "--audio_root", str(folder)]
    text = (folder / "text").read_text()
    (folder / "text").write_text(text.replace("u03 HELLO", "u03"))
    assert main(options) == 0
    assert "1 of them unusable" in capsys.readouterr().out
    assert f"u03: {folder}/text: the transcript is empty" in caplog.text
    (folder / "wav/u05.wav").unlink()
    assert main(options) == 1
    assert "2 of 20 utterances are unusable, more than 5% (--max_bad)" in capsys.readouterr().err
    assert "u05.wav: no such audio file" in caplog.text
    assert main([*options, "--max_bad", "0.1"]) == 0


def test_audio_is_read_only_when_asked(folder, capsys):
    (folder / "wav/u05.wav").write_text("not audio")
    options = [str(folder), "--audio_root", str(folder), "--nj", "1", "--max_bad", "0"]
    assert main(options) == 0
    assert main([*options, "--check_audio"]) == 1
    assert "not readable as audio" in capsys.readouterr().err


def test_headerless_audio_is_a_counted_defect(folder, capsys, caplog):
    (folder / "wav/u03.raw").write_bytes(bytes(1600))
    (folder / "wav.scp").write_text((folder / "wav.scp").read_text().replace("u03.wav", "u03.raw"))
    options = [str(folder), "--audio_root", str(folder), "--check_audio", "--nj", "1"]
    assert main(options) == 0
    assert f"left out: u03: {folder}/wav/u03.raw: headerless audio" in caplog.text
    assert main([*options, "--max_bad", "0"]) == 1
    assert "1 of 20 utterances are unusable" in capsys.readouterr().err


def test_the_channel_is_counted_from_1(folder, capsys):
    with pytest.raises(SystemExit):
        main([str(folder), "--channel", "0"])
    assert "--channel: found '0', expected 1, 2 or so" in capsys.readouterr().err
