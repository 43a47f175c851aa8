"""What docs/security.md says may be opened without trusting it, claim by claim: nothing in it makes a folder."""

import io
import json
import os
import pickle
import re
import shlex
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import torch
from PIL import Image

from vqbn.corpora.cifar10 import read_python_batch
from vqbn.corpora.download import unpack
from vqbn.corpora.line_corpus import CorpusZip
from vqbn.corpora.line_image import read_line
from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.ctm import read_ctm
from vqbn.kaldi.datadir import find_problems, read_data_dir
from vqbn.kaldi.source import Command
from vqbn.kaldi.vectors import read_vectors
from vqbn.runs.checkpoint import read_checkpoint
from vqbn.runs.config import parse_arguments
from vqbn.runs.results import read_result
from vqbn.tasks.images.codes import read_codes
from vqbn.tasks.recognition.task import RECOGNITION

PAGE = (Path(__file__).resolve().parents[2] / "docs/security.md").read_text(encoding="utf-8")


class Runs:
    """Whose pickle makes the folder `made` when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("made",)


def checkpoint(folder: Path) -> None:
    torch.save({"state_dict": {}, "recognizer": Runs()}, folder / "x.ckpt")
    read_checkpoint(folder / "x.ckpt")


def kaldi_archive(folder: Path) -> None:
    kaldiio.save_ark("x.ark", {"u": Runs()}, scp="x.scp", write_function="pickle")
    read_scp("x.scp")["u"]


def espnet_archive(folder: Path) -> None:
    pytest.importorskip("espnet2")
    import vqbn.espnet2.task  # noqa: F401

    kaldiio.save_ark("x.ark", {"u": Runs()}, scp="x.scp", write_function="pickle")
    kaldiio.load_scp("x.scp")["u"]


def numpy_array(folder: Path) -> None:
    np.save("x.npy", np.array([Runs()], dtype=object), allow_pickle=True)
    next(read_vectors("x.npy"))


def numpy_codes(folder: Path) -> None:
    np.savez("x.npz", format=np.array([Runs()], dtype=object))
    read_codes("x.npz")


def cifar_batch(folder: Path) -> None:
    read_python_batch("data_batch_1", pickle.dumps({b"data": Runs()}, 2))


def tar(folder: Path) -> None:
    with tarfile.open("x.tar.gz", "w:gz") as file:
        for name in ("top/a", "../made"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            file.addfile(entry)
    unpack("x.tar.gz", folder / "below/out", "top")


def zip_corpus(folder: Path) -> None:
    with zipfile.ZipFile("x.zip", "w") as file:
        file.writestr("../made/x", "")
        file.writestr("a/corpora/x", "")
    CorpusZip("x.zip").read("corpora/y")


def picture(folder: Path) -> None:
    content = io.BytesIO()
    Image.new("L", (8, 8)).save(content, "EPS")
    read_line(content.getvalue())


def configuration(folder: Path) -> None:
    (folder / "x.yaml").write_text("seed: !!python/object/apply:os.mkdir [made]\n")
    options = ["--config", "x.yaml", "--dump", "dump", "--expdir", "exp"]
    parse_arguments(options, "vqbn-train", "Train.", RECOGNITION.keys, RECOGNITION.check)


def results(folder: Path) -> None:
    (folder / "x_seed1.json").write_text(json.dumps({"py/object/apply:os.mkdir": ["made"]}))
    read_result("x_seed1.json")


def ctm(folder: Path) -> None:
    (folder / "x.ctm").write_text("mkdir made |\n$(mkdir made) 1 0 `mkdir made` a\n")
    read_ctm("x.ctm")


ROWS: dict[str, list[Callable[[Path], None]]] = {
    "checkpoints": [checkpoint],
    "Kaldi archives": [kaldi_archive],
    "archives in ESPnet": [espnet_archive],
    "`.npy` and `.npz`": [numpy_array, numpy_codes],
    "CIFAR-10's batches": [cifar_batch],
    "downloaded `.tar.gz`": [tar],
    "corpora in zips": [zip_corpus],
    "line images": [picture],
    "configurations": [configuration, results],
    "CTM": [ctm],
}


def test_every_row_of_the_table_is_tested():
    rows = re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)[1:]
    assert len(rows) == len(ROWS)
    for row, name in zip(rows, ROWS, strict=True):
        assert row.startswith(name)


@pytest.mark.parametrize("claim", [claim for claims in ROWS.values() for claim in claims], ids=lambda f: f.__name__)
def test_what_a_file_says_is_not_run(tmp_path, monkeypatch, claim):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as raised:
        claim(tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("made"))


@pytest.fixture
def data_dir(tmp_path, monkeypatch) -> Path:
    """A data directory with a command that makes a folder, and a file whose name would."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "wav.scp").write_text("a mkdir made; false |\nb x.wav; mkdir other\nc | mkdir other\n")
    (folder / "text").write_text("a A\nb B\nc C\n")
    (folder / "utt2spk").write_text("a s\nb s\nc s\n")
    return folder


def test_a_command_in_wav_scp_runs_when_the_audio_is_read_and_not_before(data_dir, tmp_path):
    assert find_problems(data_dir) == []
    data = read_data_dir(data_dir)
    assert [isinstance(utterance.audio, Command) for utterance in data.utterances.values()] == [True, False, False]
    assert not (tmp_path / "made").exists()
    for utterance in data.utterances.values():
        with pytest.raises(InputError):
            read_audio(utterance.audio)
    assert (tmp_path / "made").exists()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("options", "runs"), [([], False), (["--check_audio"], True)])
def test_the_validator_runs_commands_with_check_audio_alone(data_dir, tmp_path, options, runs):
    from vqbn.bin.validate_data_dir import main

    assert main([str(data_dir), "--nj", "1", "--max_bad", "0.5", *options]) == 1
    assert (tmp_path / "made").exists() == runs


def test_the_page_says_how_to_find_commands(data_dir):
    command = shlex.split(re.search(r"`(grep [^`]+)`", PAGE)[1])
    pattern = command[1].replace("[[:space:]]", r"\s")
    lines = (data_dir / "wav.scp").read_text().splitlines()
    assert [line.split()[0] for line in lines if re.search(pattern.replace("|", r"\|"), line)] == ["a"]
