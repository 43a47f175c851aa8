"""speechocean762 in both layouts, from a small stand-in with the archive's structure."""

import functools
import http.server
import shutil
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from vqbn.bin.prepare_speechocean762 import main
from vqbn.corpora import speechocean762
from vqbn.corpora.speechocean762 import DEV_SPEAKERS, NAME, prepare
from vqbn.errors import InputError
from vqbn.kaldi.alignment import read_phone_alignments
from vqbn.kaldi.datadir import find_problems, read_data_dir

TEST_SPEAKERS = ("0003", *DEV_SPEAKERS, "9647")


@pytest.fixture
def corpus(tmp_path):
    """The archive's structure: two utterances per speaker, ids without the speaker, tabs, paths from the root."""
    root = tmp_path / "source" / NAME
    for name, speakers in (("train", ("0001", "0005")), ("test", TEST_SPEAKERS)):
        (root / name).mkdir(parents=True)
        lists = {"wav.scp": "", "text": "", "utt2spk": "", "spk2gender": "", "spk2utt": ""}
        for speaker in speakers:
            utterances = [f"0{speaker}0{number:03d}" for number in (11, 35)]
            lists["spk2gender"] += f"{speaker}\tf\n"
            lists["spk2utt"] += f"{speaker} {' '.join(utterances)}\n"
            for utterance in utterances:
                path = f"WAVE/SPEAKER{speaker}/{utterance}.WAV"
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(root / path, np.zeros(160, np.int16), 16000, format="WAV")
                lists["wav.scp"] += f"{utterance}\t{path}\n"
                lists["text"] += f"{utterance}\tWE CALL  IT BEAR\n"
                lists["utt2spk"] += f"{utterance}\t{speaker}\n"
        for file, content in lists.items():
            (root / name / file).write_text(content)
    (root / "resource").mkdir()
    (root / "resource/lexicon.txt").write_text("WE W IY0\nCALL  K AO0 L\nIT IH0 T\nBEAR  B EH0 R\n")
    return root


@pytest.fixture
def kaldi_layout(corpus, tmp_path):
    """The same as data directories train and dev beside a lexicon, with the speaker in front of each id."""
    root = tmp_path / "kaldi_layout"
    prepare(corpus, root)
    for name in ("train", "dev"):
        (root / name / "spk2utt").unlink()
    shutil.rmtree(root / "test")
    return root


def test_the_archives_layout_becomes_three_sets_split_by_speaker(corpus, tmp_path):
    assert prepare(corpus, tmp_path / "data") == {"train": 4, "dev": 30, "test": 4}
    sets = {name: read_data_dir(tmp_path / "data" / name) for name in ("train", "dev", "test")}
    assert [find_problems(tmp_path / "data" / name) for name in sets] == [[], [], []]
    assert sets["dev"].speakers == set(DEV_SPEAKERS)
    assert sets["test"].speakers == {"0003", "9647"}
    utterance = sets["train"].utterances["0001-000010011"]
    assert utterance.speaker == "0001"
    assert utterance.text == "WE CALL IT BEAR"
    assert utterance.audio.is_absolute()
    assert utterance.audio == corpus / "WAVE/SPEAKER0001/000010011.WAV"
    assert (tmp_path / "data/lexicon.txt").read_text() == (corpus / "resource/lexicon.txt").read_text()
    assert (tmp_path / "data/dev/spk2gender").read_text().splitlines() == [f"{speaker} f" for speaker in DEV_SPEAKERS]


def test_the_folder_above_the_corpus_will_do(corpus, tmp_path):
    assert prepare(corpus.parent, tmp_path / "data")["train"] == 4


def test_kaldi_data_directories_are_taken_as_they_are(kaldi_layout, tmp_path):
    assert prepare(kaldi_layout, tmp_path / "data") == {"train": 4, "dev": 30}
    assert read_data_dir(tmp_path / "data/train").utterances.keys() >= {"0001-000010011", "0005-000050035"}
    assert (tmp_path / "data/train/spk2utt").read_text().startswith("0001 0001-000010011 0001-000010035\n")


def test_a_data_directory_called_test_makes_no_archive(kaldi_layout, corpus, tmp_path):
    """Nor does a folder of audio beside it: the archive alone has a folder `resource` too."""
    prepare(corpus, tmp_path / "again")
    shutil.copytree(tmp_path / "again/test", kaldi_layout / "test")
    assert prepare(kaldi_layout, tmp_path / "data") == {"train": 4, "dev": 30, "test": 4}
    assert read_data_dir(tmp_path / "data/test") == replace(
        read_data_dir(tmp_path / "again/test"), path=tmp_path / "data/test"
    )
    (kaldi_layout / "WAVE").mkdir()
    assert prepare(kaldi_layout, tmp_path / "more") == {"train": 4, "dev": 30, "test": 4}
    shutil.rmtree(kaldi_layout / "dev")
    with pytest.raises(InputError, match="or train and dev"):
        prepare(kaldi_layout, tmp_path / "less")


def test_preparing_twice_keeps_what_later_stages_made(corpus, tmp_path):
    prepare(corpus, tmp_path / "data")
    (tmp_path / "data/train/phones.ctm").write_text("kept")
    prepare(corpus, tmp_path / "data")
    assert (tmp_path / "data/train/phones.ctm").read_text() == "kept"


def test_missing_audio_is_left_out_up_to_a_limit(corpus, tmp_path, caplog):
    (corpus / "WAVE/SPEAKER0120/001200011.WAV").unlink()
    assert prepare(corpus, tmp_path / "data")["dev"] == 29
    assert "left out: 0120-001200011" in caplog.text
    shutil.rmtree(corpus / "WAVE/SPEAKER0001")
    with pytest.raises(InputError, match=r"train: 2 of 4 utterances are unusable, more than 5% \(--max_bad\)"):
        prepare(corpus, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def damage_duplicate(root):
    file = root / "train/text"
    file.write_text(file.read_text() + "000010011\tAGAIN\n")


def damage_unlisted(root):
    file = root / "test/text"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))


def damage_speakers(root):
    shutil.copy(root / "train/utt2spk", root / "x")
    for file in ("wav.scp", "text", "utt2spk"):
        (root / "test" / file).write_text((root / "test" / file).read_text() + (root / "train" / file).read_text())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_duplicate, r"train/text:5: '000010011' is here twice"),
        (damage_unlisted, r"test: wav.scp and text don't list the same utterances: 000030011 is in one of them only"),
        (damage_speakers, r"speaker 0001 is both in train and in another set"),
        (lambda root: (root / "resource/lexicon.txt").unlink(), r"lexicon.txt: can't be read: No such file"),
        (lambda root: (root / "test/utt2spk").write_text(""), r"test/utt2spk: the file is empty"),
        (lambda root: (root / "test/text").write_bytes(b"a \xff\n"), r"test/text:1: not UTF-8"),
        (
            lambda root: shutil.rmtree(root / "train"),
            r"not speechocean762: expected .*, WAVE and resource",
        ),
    ],
)
def test_a_corpus_that_is_not_whole_is_refused_and_nothing_is_written(corpus, tmp_path, damage, message):
    damage(corpus)
    with pytest.raises(InputError, match=message):
        prepare(corpus, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_archive_without_a_development_speaker_is_refused(corpus, tmp_path):
    with pytest.raises(InputError, match="the development speaker 7777 is not among its speakers"):
        prepare(corpus, tmp_path / "data", dev_speakers=("0003", "7777"))


@pytest.fixture
def served(corpus, tmp_path):
    """The stand-in as an archive on a server on loopback: its address."""
    with tarfile.open(tmp_path / "source/speechocean762.tar.gz", "w:gz") as file:
        file.add(corpus, NAME)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "source"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/speechocean762.tar.gz"
        server.shutdown()


def test_the_command_downloads_unpacks_and_prepares_and_does_not_fetch_again(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--download", "downloads", "--url", served, "--out", "data"]) == 0
    assert [file.name for file in (tmp_path / "downloads").iterdir()] == [NAME]
    assert len(read_data_dir(tmp_path / "data/dev").utterances) == 30
    monkeypatch.setattr(speechocean762, "download", None)
    assert main(["--download", "downloads", "--url", served, "--out", "data"]) == 0


def test_an_archive_of_something_else_is_not_taken(served, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speechocean762, "NAME", "something_else")
    assert main(["--download", str(tmp_path / "downloads"), "--url", served, "--out", str(tmp_path / "data")]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "has no folder something_else, but speechocean762: remove it and run the same command again" in error
    assert not (tmp_path / "downloads/something_else").exists()
    assert not (tmp_path / "data").exists()


def test_the_commands_error_is_one_line(tmp_path, capsys):
    assert main(["--corpus", str(tmp_path), "--out", str(tmp_path / "data")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"vqbn-prepare-speechocean762: error: {tmp_path}: not speechocean762: expected the folders")
    assert line.endswith("give the corpus's folder with --corpus, or have it fetched with --download")


def test_real_ids_join_with_kaldis_alignments(real_data, tmp_path):
    corpus = real_data / "speechocean762"
    assert prepare(corpus, tmp_path / "data") == {"train": 1500, "dev": 300}
    assert read_data_dir(tmp_path / "data/dev").speakers == set(DEV_SPEAKERS)
    dev = read_data_dir(tmp_path / "data/dev").utterances.keys()
    aligned = read_phone_alignments(corpus / "kaldi/exp/tri3b_ali_test", wanted=dev)
    assert len(dev - aligned.keys()) == 1
