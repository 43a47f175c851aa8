"""Archives: what is written is read back, and what is damaged is named."""

import pickle

import kaldiio
import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp, write_archive


@pytest.fixture
def items():
    """Matrices and int32 vectors, an utterance id outside ASCII among them."""
    rng = np.random.default_rng(0)
    return {
        "a": rng.normal(size=(5, 3)).astype(np.float32),
        "é": np.arange(7, dtype=np.int32),
        "z": np.zeros(0, np.int32),
    }


def test_round_trip_keeps_values_types_and_order(tmp_path, items):
    write_archive(tmp_path / "new/folder", "x", items.items())
    archive = read_scp(tmp_path / "new/folder/x.scp")
    assert list(archive) == list(items)
    for loaded in (archive, pickle.loads(pickle.dumps(archive))):
        for key, array in items.items():
            assert loaded[key].dtype == array.dtype
            np.testing.assert_array_equal(loaded[key], array)
    assert "b" not in archive
    assert "a" in archive


def test_kaldiio_reads_it(tmp_path, items):
    write_archive(tmp_path, "x", items)
    np.testing.assert_array_equal(kaldiio.load_scp(str(tmp_path / "x.scp"))["a"], items["a"])
    assert list(dict(kaldiio.load_ark(str(tmp_path / "x.ark")))) == list(items)


def test_a_failure_on_the_way_leaves_the_older_archive(tmp_path, items):
    write_archive(tmp_path, "x", items)

    def broken():
        yield "a", np.zeros((1, 1), np.float32)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_archive(tmp_path, "x", broken())
    np.testing.assert_array_equal(read_scp(tmp_path / "x.scp")["a"], items["a"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ark", "x.scp"]


def test_an_scp_that_points_nowhere_is_refused_when_it_is_read(tmp_path, items):
    write_archive(tmp_path, "x", items)
    (tmp_path / "x.ark").unlink()
    with pytest.raises(InputError, match=r"x\.scp:1: points to .*x\.ark, which isn't there"):
        read_scp(tmp_path / "x.scp")


@pytest.mark.parametrize("content", ["", "a\n", "a x.ark\n", "a x.ark:3\n\n"])
def test_a_malformed_scp_is_refused(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.ark").touch()
    (tmp_path / "x.scp").write_text(content)
    with pytest.raises(InputError, match=r"x\.scp:[12]: "):
        read_scp(tmp_path / "x.scp")


def test_duplicates_and_missing_files(tmp_path, items):
    write_archive(tmp_path, "x", items)
    scp = tmp_path / "x.scp"
    scp.write_text(scp.read_text() + scp.read_text())
    with pytest.raises(InputError, match=r"x\.scp:4: 'a' is here twice"):
        read_scp(scp)
    with pytest.raises(InputError, match=r"y\.scp: can't be read"):
        read_scp(tmp_path / "y.scp")


def test_a_cut_archive_names_the_item(tmp_path, items):
    write_archive(tmp_path, "x", items)
    ark = tmp_path / "x.ark"
    ark.write_bytes(ark.read_bytes()[:30])
    with pytest.raises(InputError, match=r"x\.scp: 'a' is damaged"):
        read_scp(tmp_path / "x.scp")["a"]
