"""Archives: what is written is read back, and what is damaged is named."""

import gzip
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


@pytest.mark.parametrize("content", ["", "a\n", "a x.ark:3\nb x.ark|:3\n"])
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


@pytest.fixture
def foreign(tmp_path):
    """A matrix, and scp entries in many styles that give it or a part of it."""
    matrix = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    kaldiio.save_ark(str(tmp_path / "b.ark"), {"x": matrix, "y": matrix + 1}, scp=str(tmp_path / "b.scp"))
    kaldiio.save_ark(str(tmp_path / "t.ark"), {"x": matrix, "y": matrix + 1}, scp=str(tmp_path / "t.scp"), text=True)
    kaldiio.save_mat(str(tmp_path / "one.mat"), matrix + 1)
    (tmp_path / "one.gz").write_bytes(gzip.compress((tmp_path / "one.mat").read_bytes()))
    binary, text = ((tmp_path / name).read_text().splitlines()[1].split()[1] for name in ("b.scp", "t.scp"))
    return matrix + 1, {
        binary: slice(None),
        text: slice(None),
        f"{binary}[2:5]": slice(2, 6),
        f"{binary}[2:5,1:2]": (slice(2, 6), slice(1, 3)),
        f"{tmp_path}/one.mat": slice(None),
        f"{tmp_path}/one.gz": slice(None),
        f"gunzip -c {tmp_path}/one.gz |": slice(None),
        f"{tmp_path}/one.mat[0:1]": slice(0, 2),
    }


def test_other_peoples_entries_are_read(foreign, tmp_path):
    matrix, entries = foreign
    (tmp_path / "x.scp").write_text("".join(f"u{number} {entry}\n" for number, entry in enumerate(entries)))
    archive = read_scp(tmp_path / "x.scp")
    for key, part in zip(archive, entries.values(), strict=True):
        np.testing.assert_allclose(archive[key], matrix[part], atol=1e-5)


@pytest.mark.parametrize(
    ("method", "low", "high", "step"),
    [
        (1, -20, 20, 0.5),  # one byte, quantiles of each column
        (2, -20, 20, 0.5),
        (3, -20, 20, 1e-3),  # two bytes over the matrix's range
        (4, -(2**15), 2**15 - 1, 1),  # two bytes, whole numbers
        (5, -20, 20, 0.2),  # one byte over the matrix's range
        (6, 0, 255, 1),  # one byte, whole numbers
        (7, 0, 1, 1 / 255),
    ],
)
def test_every_kind_of_compressed_matrix_is_read(tmp_path, method, low, high, step):
    matrix = np.random.default_rng(1).uniform(low, high, size=(30, 5)).astype(np.float32)
    kaldiio.save_ark(str(tmp_path / "c.ark"), {"x": matrix}, scp=str(tmp_path / "c.scp"), compression_method=method)
    entry = (tmp_path / "c.scp").read_text()
    (tmp_path / "c.scp").write_text(entry + f"part {entry.split()[1]}[3:7,1:2]\n")
    archive = read_scp(tmp_path / "c.scp")
    np.testing.assert_allclose(archive["x"], matrix, atol=step)
    np.testing.assert_array_equal(archive["part"], archive["x"][3:8, 1:3])


def test_a_command_that_fails_and_a_cut_gz_are_one_line(foreign, tmp_path):
    (tmp_path / "one.gz").write_bytes((tmp_path / "one.gz").read_bytes()[:40])
    (tmp_path / "x.scp").write_text(f"a false |\nb {tmp_path}/one.gz\n")
    archive = read_scp(tmp_path / "x.scp")
    for key in "ab":
        with pytest.raises(InputError, match=f"'{key}' "):
            archive[key]


def test_a_tab_after_the_key_is_a_blank(tmp_path, items):
    write_archive(tmp_path, "x", items)
    (tmp_path / "x.scp").write_text((tmp_path / "x.scp").read_text().replace(" ", " \t", 1).replace("\né ", "\né\t"))
    archive = read_scp(tmp_path / "x.scp")
    for key, array in items.items():
        np.testing.assert_array_equal(archive[key], array)
