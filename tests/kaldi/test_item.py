"""Items of archives: Kaldi's matrices and vectors are read, and what could run code is refused before it does."""

import gzip
import io
import os
import pickle

import kaldiio
import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp, write_archive
from vqbn.kaldi.cmvn import read_cmvn, read_speaker_cmvn
from vqbn.kaldi.item import ForeignItemError, read_item
from vqbn.kaldi.vectors import read_vectors


class Runs:
    """Whose pickle makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def hostile(tmp_path):
    """An archive whose second item runs code where kaldiio reads it, in every place that one may stand."""
    kaldiio.save_ark(str(tmp_path / "feats.ark"), {"a": np.eye(3, dtype=np.float32)}, scp=str(tmp_path / "feats.scp"))
    kaldiio.save_ark(
        str(tmp_path / "feats.ark"),
        {"b": Runs(tmp_path / "made")},
        scp=str(tmp_path / "feats.scp"),
        append=True,
        write_function="pickle",
    )
    item = b"PKL" + pickle.dumps(Runs(tmp_path / "made"))
    (tmp_path / "cmvn.ark").write_bytes(item)
    (tmp_path / "item.gz").write_bytes(gzip.compress(item))
    (tmp_path / "more.scp").write_text(
        f"file {tmp_path}/cmvn.ark\ngz {tmp_path}/item.gz\ncommand cat {tmp_path}/cmvn.ark |\n"
        f"range {tmp_path}/cmvn.ark[0:1]\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "read",
    [
        lambda folder: read_scp(folder / "feats.scp")["b"],
        lambda folder: dict(read_vectors(folder / "feats.scp")),
        lambda folder: dict(read_vectors(folder / "feats.ark")),
        lambda folder: read_cmvn(folder / "cmvn.ark"),
        lambda folder: read_speaker_cmvn(folder / "more.scp"),
        *(lambda folder, key=key: read_scp(folder / "more.scp")[key] for key in ("file", "gz", "command", "range")),
    ],
)
def test_a_pickle_is_named_and_not_run(hostile, read, monkeypatch):
    with pytest.raises(InputError, match=r"pickle \(PKL\), which runs code") as raised:
        read(hostile)
    assert "\n" not in str(raised.value)
    assert not (hostile / "made").exists()
    np.testing.assert_array_equal(read_scp(hostile / "feats.scp")["a"], np.eye(3))
    # As it is: our ESPnet commands make it refuse pickles in their process.
    monkeypatch.setattr(kaldiio.matio, "pickle", pickle)
    kaldiio.load_mat(str(hostile / "cmvn.ark"))
    assert (hostile / "made").exists(), "kaldiio would have run it"


@pytest.mark.parametrize(("kind", "name"), [("numpy", "NPY"), ("soundfile", "AUDIO"), (None, "RIFF")])
def test_other_foreign_items_are_refused_by_name(tmp_path, kind, name):
    value = np.zeros((2, 3)) if kind == "numpy" else (16000, np.zeros(100, np.int16))
    kaldiio.save_ark(str(tmp_path / "x.ark"), {"u": value}, scp=str(tmp_path / "x.scp"), write_function=kind)
    with pytest.raises(InputError, match=rf"x\.scp: 'u' in .*\({name}\); expected a matrix or vector of Kaldi's"):
        read_scp(tmp_path / "x.scp")["u"]


@pytest.mark.parametrize("text", [False, True])
def test_items_are_read_one_after_the_other(tmp_path, text):
    items = {"m": np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), "v": np.ones(5, np.float32) / 3}
    items["i"] = np.arange(6, dtype=np.int32)
    kaldiio.save_ark(str(tmp_path / "x.ark"), items, text=text)
    with (tmp_path / "x.ark").open("rb") as file:
        for key, array in items.items():
            assert file.read(2).decode().strip() == key
            found = read_item(file)
            assert found.dtype == array.dtype
            np.testing.assert_allclose(found, array, rtol=1e-6)
        assert not file.read()


def test_nothing_of_a_foreign_item_is_read():
    file = io.BytesIO(b"PKL whatever")
    with pytest.raises(ForeignItemError):
        read_item(file)
    assert file.tell() == 0


def test_a_command_in_an_scp_runs_when_its_item_is_read_and_not_before(tmp_path):
    write_archive(tmp_path, "x", {"a": np.eye(2, dtype=np.float32)})
    entry = (tmp_path / "x.scp").read_text().split()[1]
    ark, _, offset = entry.rpartition(":")
    (tmp_path / "c.scp").write_text(
        f"a {entry}\nb touch {tmp_path}/made; tail -c +{int(offset) + 1} {ark} |[0:0]\nc touch {tmp_path}/other |\n"
    )
    archive = read_scp(tmp_path / "c.scp")
    np.testing.assert_array_equal(archive["a"], np.eye(2))
    assert not (tmp_path / "made").exists()
    np.testing.assert_array_equal(archive["b"], np.eye(2)[:1])
    assert (tmp_path / "made").exists()
    assert not (tmp_path / "other").exists()


def test_no_name_of_a_file_becomes_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("touch made; cat x.gz", "| touch made", "touch made |:0"):
        (tmp_path / "x.scp").write_text(f"a {name}\n")
        with pytest.raises(InputError, match="isn't there"):
            read_scp(tmp_path / "x.scp")
    (tmp_path / "a;touch made;.gz").write_bytes(gzip.compress(b" [ 1 2 ]\n"))
    (tmp_path / "x.scp").write_text("a a;touch made;.gz\n")
    np.testing.assert_array_equal(read_scp(tmp_path / "x.scp")["a"], [1, 2])
    with pytest.raises(InputError, match="can't be read"):
        read_cmvn("touch made |")
    assert not (tmp_path / "made").exists()
