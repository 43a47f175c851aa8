import errno
import os

import numpy as np
import pytest

from vqbn.corpora import packed_images
from vqbn.corpora.image_source import Source, data_label
from vqbn.corpora.packed_images import (
    held_out,
    read_packed,
    write_packed,
)
from vqbn.errors import InputError

SOURCE = Source("CIFAR-10", True, {"data_batch_1": "0" * 32})


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8) for name, count in (("train", 11), ("dev", 3))}


def test_sets_come_back_as_maps_of_files(tmp_path, sets):
    write_packed(tmp_path / "data", sets, SOURCE)
    for name, images in sets.items():
        found = read_packed(tmp_path / "data", name)
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, images)
    assert data_label(tmp_path / "data") == "CIFAR-10 (partial), 11 training images"
    # What is there is replaced as a whole.
    write_packed(tmp_path / "data", {"train": sets["dev"]}, Source("CIFAR-10", False, {}))
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"train.npy", "images.json"}
    assert data_label(tmp_path / "data") == "CIFAR-10, 3 training images"


def test_another_folder_is_not_overwritten(tmp_path, sets):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        write_packed(tmp_path / "data", sets, SOURCE)
    assert (tmp_path / "data" / "thesis.txt").read_text() == "mine"


def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, sets, monkeypatch):
    write_packed(tmp_path / "data", sets, SOURCE)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(packed_images, "write_text", full)
    with pytest.raises(OSError) as raised:
        write_packed(tmp_path / "data", {"train": sets["dev"]}, SOURCE)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "data")
    np.testing.assert_array_equal(read_packed(tmp_path / "data", "train"), sets["train"])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_bad_packed_sets_are_named(tmp_path, sets):
    with pytest.raises(InputError, match=r"images\.json: can't be read"):
        read_packed(tmp_path, "train")
    write_packed(tmp_path / "data", sets, SOURCE)
    with pytest.raises(InputError, match="no set 'test', only train, dev"):
        read_packed(tmp_path / "data", "test")
    path = tmp_path / "data" / "dev.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"dev\.npy: damaged or missing"):
        read_packed(tmp_path / "data", "dev")
    np.save(path, sets["train"])
    with pytest.raises(InputError, match=r"dev\.npy: found uint8 \(11, 8, 8, 3\), expected 3 images"):
        read_packed(tmp_path / "data", "dev")
    (tmp_path / "data" / "images.json").write_text("{}")
    with pytest.raises(InputError, match=r"images\.json: key 'source'"):
        read_packed(tmp_path / "data", "dev")


@pytest.mark.parametrize(("count", "share", "expected"), [(50000, 0.05, 2500), (10, 0.05, 1), (2, 0.99, 1)])
def test_what_is_held_out_is_a_function_of_the_seed(count, share, expected):
    stay, out = held_out(count, share, 3)
    assert len(out) == expected
    np.testing.assert_array_equal(np.sort(np.concatenate([stay, out])), np.arange(count))
    np.testing.assert_array_equal(out, held_out(count, share, 3)[1])
    if expected > 1:
        assert not np.array_equal(out, held_out(count, share, 4)[1])


def numbered(count):
    """Images that are their own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3))
