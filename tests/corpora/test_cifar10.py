import io
import os
import pickle
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from vqbn.bin.prepare_cifar10 import main
from vqbn.corpora import cifar10, cifar10_pictures
from vqbn.corpora.cifar10 import PYTHON_BATCHES, as_images, read_cifar10, read_python_batch
from vqbn.corpora.cifar10_pictures import CLASSES
from vqbn.errors import InputError

ROWS = 6


@pytest.fixture
def rows():
    """Name of a batch → its rows as CIFAR-10 has them, and labels."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (ROWS, 3072), dtype=np.uint8), rng.integers(0, 10, ROWS).tolist())
        for name in PYTHON_BATCHES
    }


def as_pickle(data, labels):
    return pickle.dumps({b"data": data, b"labels": labels, b"batch_label": b"some batch"}, 2)


def as_binary(data, labels):
    return np.concatenate([np.array(labels, dtype=np.uint8)[:, None], data], axis=1).tobytes()


@pytest.fixture(params=["py", "bin"])
def folder(request, rows, tmp_path):
    """A folder in either version."""
    path = tmp_path / f"cifar-10-batches-{request.param}"
    path.mkdir()
    for name, batch in rows.items():
        if request.param == "py":
            (path / name).write_bytes(as_pickle(*batch))
        else:
            (path / f"{name}.bin").write_bytes(as_binary(*batch))
    return path


@pytest.fixture
def python_folder(rows, tmp_path):
    path = tmp_path / "batches"
    path.mkdir()
    for name, batch in rows.items():
        (path / name).write_bytes(as_pickle(*batch))
    return path


def test_pixels_and_order(folder, rows):
    corpus = read_cifar10(folder, allow_partial=True)
    assert corpus.partial
    assert corpus.train.shape == (5 * ROWS, 32, 32, 3)
    third = rows["data_batch_3"][0][4]
    # A row is 1,024 red values, then green, then blue; each row by row of the picture.
    for channel in range(3):
        for y, x in ((0, 0), (3, 7), (31, 31)):
            assert corpus.train[2 * ROWS + 4, y, x, channel] == third[1024 * channel + 32 * y + x]
    np.testing.assert_array_equal(corpus.test[0, :, :, 1].ravel(), rows["test_batch"][0][0][1024:2048])
    above = read_cifar10(folder.parent, allow_partial=True)
    np.testing.assert_array_equal(above.train, corpus.train)


def test_fewer_images_are_refused_unless_allowed(folder):
    with pytest.raises(InputError, match=r"data_batch_1.*: 6 images, expected 10,000; .*--allow_partial"):
        read_cifar10(folder)


def test_real_images(real_data):
    corpus = read_cifar10(real_data / "cifar10-partial", allow_partial=True)
    assert (len(corpus.train), len(corpus.test), corpus.partial) == (7728, 932, True)
    # Neighbouring pixels of a photograph are alike, those of scrambled rows are not.
    steps = np.abs(np.diff(corpus.train[:500].astype(int), axis=2)).mean()
    assert steps < 15


def damage(path, rows, how):
    batch = path / "data_batch_2"
    data, labels = rows["data_batch_2"]
    match how:
        case "cut":
            batch.write_bytes(batch.read_bytes()[:-1000])
        case "empty":
            batch.write_bytes(b"")
        case "missing":
            batch.unlink()
        case "label":
            batch.write_bytes(as_pickle(data, [10, *labels[1:]]))
        case "labels":
            batch.write_bytes(as_pickle(data, labels[1:]))
        case "words":
            batch.write_bytes(as_pickle(data, ["cat"] * ROWS))
        case "size":
            batch.write_bytes(as_pickle(data[:, :784], labels))
        case "type":
            batch.write_bytes(as_pickle(data.astype(np.float32), labels))
        case "list":
            batch.write_bytes(pickle.dumps([1, 2, 3], 2))
        case "text":
            batch.write_text("<html>404</html>")
        case "huge":
            with batch.open("wb") as file:
                file.truncate(cifar10.MOST_BYTES + 1)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("cut", "damaged or cut short"),
        ("empty", "damaged or cut short"),
        ("missing", "no such file"),
        ("label", "labels from .* to 10, expected 0 to 9"),
        ("labels", "6 images and 5 labels"),
        ("words", "expected a list of integers"),
        ("size", r"uint8 \(6, 784\), expected uint8 \(images, 3072\)"),
        ("type", "float32"),
        ("list", "its data is NoneType"),
        ("text", "damaged or cut short"),
        ("huge", "no batch of CIFAR-10"),
    ],
)
def test_a_bad_batch_is_named(python_folder, rows, how, problem):
    damage(python_folder, rows, how)
    with pytest.raises(InputError, match=f"data_batch_2: .*{problem}") as raised:
        read_cifar10(python_folder, allow_partial=True)
    assert "\n" not in str(raised.value)


def test_a_foreign_pickle_is_named_and_not_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    with pytest.raises(InputError, match=r"data_batch_1: a foreign pickle: .*mkdir.*nothing of it was run"):
        read_python_batch("data_batch_1", pickle.dumps({b"data": Runs()}, 2))
    assert not (tmp_path / "made").exists()


def test_a_binary_batch_that_ends_within_an_image_is_named(rows, tmp_path):
    for name, batch in rows.items():
        (tmp_path / f"{name}.bin").write_bytes(as_binary(*batch)[: -5 if name == "data_batch_4" else None])
    with pytest.raises(InputError, match=r"data_batch_4\.bin: 18433 bytes, expected a multiple of 3073"):
        read_cifar10(tmp_path, allow_partial=True)


def test_a_whole_batch_must_have_the_official_hash(python_folder, rows, monkeypatch):
    monkeypatch.setattr(cifar10, "ROWS", ROWS)
    with pytest.raises(InputError, match=r"data_batch_1: its MD5 is \w{32}, expected c99cafc152244af753f735de768cd75f"):
        read_cifar10(python_folder)


@pytest.fixture
def archive(folder, tmp_path):
    """The folder as an archive, with another member that must not matter."""
    path = tmp_path / "cifar-10.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(folder, arcname=folder.name)
        link = tarfile.TarInfo(f"{folder.name}/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
        readme = tarfile.TarInfo("../../readme.html")
        readme.size = 3
        file.addfile(readme, io.BytesIO(b"hey"))
    return path


def test_an_archive_is_read_like_its_folder(archive, folder, monkeypatch):
    monkeypatch.setattr(cifar10, "check_archive", lambda path: None)
    with pytest.raises(InputError, match="--allow_partial"):
        read_cifar10(archive)
    corpus, expected = read_cifar10(archive, allow_partial=True), read_cifar10(folder, allow_partial=True)
    np.testing.assert_array_equal(corpus.train, expected.train)
    np.testing.assert_array_equal(corpus.test, expected.test)


def test_an_archive_with_another_checksum_is_refused_unless_allowed(archive, folder):
    said = r"cifar-10\.tar\.gz: its MD5 is \w{32}, expected c58f30108f718f92721af3b95e7.*--allow_partial"
    with pytest.raises(InputError, match=said):
        read_cifar10(archive)
    assert len(read_cifar10(archive, allow_partial=True).train) == 5 * ROWS


@pytest.mark.parametrize("mode", ["w", "w:bz2", "w:xz"])
def test_a_tar_of_the_batches_with_another_or_no_compression_is_read(folder, tmp_path, mode):
    with tarfile.open(tmp_path / "mine.tar", mode) as file:
        for path in folder.iterdir():
            file.add(path, arcname=path.name)
    expected = read_cifar10(folder, allow_partial=True)
    np.testing.assert_array_equal(read_cifar10(tmp_path / "mine.tar", allow_partial=True).test, expected.test)


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>404</html>" * 99, r"begins with b'<html>404</h'"),
        (b"PK\x03\x04" + bytes(600), r"begins with b'PK"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_no_archive_is_called_that_and_not_damaged(tmp_path, content, said, allowed):
    (tmp_path / "page.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match=rf"page\.tar\.gz: no tar archive, compressed or not: it {said}") as raised:
        read_cifar10(tmp_path / "page.tar.gz", allowed)
    assert "damaged" not in str(raised.value)


def test_an_archive_that_is_cut_short_is_called_that(archive):
    archive.write_bytes(archive.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cifar-10\.tar\.gz: damaged or cut short"):
        read_cifar10(archive, allow_partial=True)


@pytest.fixture
def pictures(rows, tmp_path):
    """The images of two batches as PNG files by class, and what they are: set → images."""
    path, made = tmp_path / "CIFAR-10-images", {}
    for name, batch in (("train", "data_batch_1"), ("test", "test_batch")):
        for number, (row, label) in enumerate(zip(*rows[batch], strict=True)):
            image = as_images(row[None])[0]
            target = path / name / CLASSES[label] / f"{number:04}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(target)
            made.setdefault(name, []).append(image)
    return path, made


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_by_class_are_read_where_they_are_allowed(pictures, tmp_path, packed):
    path, made = pictures
    if packed:
        with tarfile.open(tmp_path / "pictures.tgz", "w:gz") as file:
            file.add(path / "train", arcname="train")
            file.add(path / "test", arcname="test")
        path = tmp_path / "pictures.tgz"
        with pytest.raises(InputError, match="its MD5 is"):
            read_cifar10(path)
    else:
        with pytest.raises(InputError, match=r"CIFAR-10-images: PNG files by class, .*--allow_partial"):
            read_cifar10(path)
    corpus = read_cifar10(path, allow_partial=True)
    assert (corpus.partial, corpus.name) == (True, "CIFAR-10 from PNG files")
    np.testing.assert_array_equal(corpus.train, made["train"])
    np.testing.assert_array_equal(corpus.test, made["test"])


def test_a_folder_of_pictures_goes_through_stage_0_and_says_so(pictures, tmp_path, capsys):
    out = str(tmp_path / "data")
    assert main(["--data", str(pictures[0]), "--out", out, "--allow_partial"]) == 0
    assert main(["--label", out]) == 0
    assert capsys.readouterr().out == "CIFAR-10 from PNG files (partial), 5 training images\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-40]), r"0001\.png: damaged, cut short or no PNG"),
        (lambda file: Image.new("RGB", (28, 28)).save(file), r"0001\.png: 28x28 pixels, expected 32x32"),
        (lambda file: Image.new("RGB", (32, 32)).save(file, "JPEG"), r"0001\.png: damaged, cut short or no PNG"),
        (lambda file: file.parent.rename(file.parents[1] / "seven"), r"\.png: 'seven' is no class of CIFAR-10"),
        (lambda file: shutil.rmtree(file.parents[2] / "test"), r"no pictures test/<class>/\*\.png"),
    ],
)
def test_a_bad_picture_is_named(pictures, change, said):
    change(next(pictures[0].glob("train/*/0001.png")))
    with pytest.raises(InputError, match=said):
        read_cifar10(pictures[0], allow_partial=True)


def test_more_pictures_of_a_class_than_there_are_are_another_corpus(pictures, monkeypatch):
    monkeypatch.setattr(cifar10_pictures, "WHOLE", {"train": 0, "test": 0})
    with pytest.raises(InputError, match=r"CIFAR-10-images: \d pictures in train/\w+, CIFAR-10 has 0"):
        read_cifar10(pictures[0], allow_partial=True)


def test_a_source_that_is_something_else_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        read_cifar10(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no data_batch_1.*train/<class>/\*\.png"):
        read_cifar10(tmp_path)
