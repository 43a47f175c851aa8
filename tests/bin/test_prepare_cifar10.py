"""The command vqbn-prepare-cifar10, in process."""

import json
import tarfile

import numpy as np
import pytest

from vqbn.bin.prepare_cifar10 import main
from vqbn.corpora import download
from vqbn.corpora.image_source import read_about
from vqbn.corpora.packed_images import read_packed


def error(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert lines[0].startswith("vqbn-prepare-cifar10: error: ")
    return lines[0]


def test_mini(tmp_path):
    assert main(["--data", "mini", "--out", str(tmp_path / "data")]) == 0
    sets = read_about(tmp_path / "data")["sets"]
    assert list(sets) == ["train", "dev", "test"]
    assert all(len(read_packed(tmp_path / "data", name)) == count for name, count in sets.items())


def test_partial_real_images_are_divided_and_say_so(real_data, tmp_path, capsys):
    source = str(real_data / "cifar10-partial" / "cifar-10-batches-py")
    assert main(["--data", source, "--out", str(tmp_path / "data")]) == 1
    assert "data_batch_1: 4000 images, expected 10,000" in error(capsys)
    assert not (tmp_path / "data").exists()
    for out, seed in (("data", 0), ("again", 0), ("other", 1)):
        assert main(["--data", source, "--allow_partial", "--out", str(tmp_path / out), "--seed", str(seed)]) == 0
    capsys.readouterr()
    assert main(["--label", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out == "CIFAR-10 (partial), 7,342 training images\n"
    about = json.loads((tmp_path / "data" / "images.json").read_text())
    assert about["partial"] is True
    assert about["sets"] == {"train": 7342, "dev": 386, "test": 932}
    assert len(about["files"]) == 6
    dev, again, other = (read_packed(tmp_path / out, "dev") for out in ("data", "again", "other"))
    np.testing.assert_array_equal(dev, again)
    assert not np.array_equal(dev, other)
    train = {image.tobytes() for image in read_packed(tmp_path / "data", "train")}
    assert not any(image.tobytes() in train for image in dev)


def test_a_download_with_another_checksum_is_refused(tmp_path, capsys, monkeypatch):
    def fetch(url, target):
        target.parent.mkdir()
        with tarfile.open(target, "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("cifar-10-batches-py"))
        return target

    monkeypatch.setattr(download, "download", fetch)
    assert main(["--out", str(tmp_path / "data"), "--downloads", str(tmp_path / "downloads")]) == 1
    assert "cifar-10-python.tar.gz: its MD5 is" in error(capsys)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("options", [["--data", "nowhere"], ["--data", __file__]])
def test_wrong_data_is_one_line(options, tmp_path, capsys):
    assert main([*options, "--out", str(tmp_path / "data")]) == 1
    assert options[1] in error(capsys)
