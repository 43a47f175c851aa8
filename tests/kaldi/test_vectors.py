"""Vectors from every kind of file."""

import kaldiio
import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.archive import write_archive
from vqbn.kaldi.vectors import read_vectors

UTTERANCES = {f"u{n}": np.arange(n * 3, dtype=np.float32).reshape(n, 3) + n for n in (4, 2, 7)}


@pytest.mark.parametrize("kind", ["folder", "scp", "ark", "npz", "compressed"])
def test_utterances_come_as_they_were_stored(kind, tmp_path):
    write_archive(tmp_path, "feats", UTTERANCES)
    np.savez(tmp_path / "feats.npz", **UTTERANCES)
    np.savez_compressed(tmp_path / "compressed.npz", **UTTERANCES)
    path = {"folder": tmp_path, "compressed": tmp_path / "compressed.npz"}.get(kind, tmp_path / f"feats.{kind}")
    found = dict(read_vectors(path))
    assert list(found) == list(UTTERANCES)
    for name, vectors in UTTERANCES.items():
        np.testing.assert_array_equal(found[name], vectors)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_one_array_is_cut_into_runs(ending, tmp_path):
    whole = np.random.default_rng(0).normal(size=(2300, 2))
    path = tmp_path / f"all.{ending}"
    np.save(path, whole) if ending == "npy" else np.savez(path, whole)
    runs = list(read_vectors(path))
    assert [(name, len(rows)) for name, rows in runs] == [
        ("rows 0 to 999", 1000),
        ("rows 1000 to 1999", 1000),
        ("rows 2000 to 2299", 300),
    ]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in runs]), whole)


def test_what_is_no_matrix_of_floats_is_named(tmp_path):
    np.save(tmp_path / "ints.npy", np.zeros((3, 2), dtype=np.int32))
    np.save(tmp_path / "cube.npy", np.zeros((3, 2, 2)))
    np.save(tmp_path / "objects.npy", np.array([None, {}]))
    np.savez(tmp_path / "mixed.npz", a=np.zeros((3, 2)), b=np.zeros((3, 4)))
    np.savez(tmp_path / "empty.npz")
    kaldiio.save_ark(str(tmp_path / "codes.ark"), {"u": np.arange(5, dtype=np.int32)})
    (tmp_path / "text.ark").write_bytes(b"u \0BXX nonsense")
    (tmp_path / "text.npz").write_text("nonsense")
    (tmp_path / "features.txt").write_text("1 2 3")
    for name, message in {
        "ints.npy": "'rows 0 to 2' is int32",
        "cube.npy": r"'cube' is float64 of shape \(3, 2, 2\)",
        "objects.npy": "damaged, empty",
        "mixed.npz": "'b' has 4 dimensions; expected 2",
        "empty.npz": "damaged, empty",
        "codes.ark": r"'u' is int32 of shape \(5,\)",
        "text.ark": "damaged, or not a Kaldi archive",
        "text.npz": "damaged, empty",
        "features.txt": "another ending",
        "missing.scp": "no such file",
        "": "has no feats.scp",
    }.items():
        with pytest.raises(InputError, match=message) as raised:
            list(read_vectors(tmp_path / name))
        assert str(tmp_path) in str(raised.value)
