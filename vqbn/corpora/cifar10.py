"""CIFAR-10 (Krizhevsky, 2009): its archive or folder, in either version, checked and read."""

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqbn.corpora.cifar10_pictures import MOST_BYTES as MOST_PICTURE_BYTES
from vqbn.corpora.cifar10_pictures import is_picture, read_pictures
from vqbn.corpora.safe_pickle import ForeignPickleError, load_arrays
from vqbn.errors import InputError

SIZE = 32
CHANNELS = 3
ROWS = 10_000
CLASSES = 10
PIXELS = SIZE * SIZE * CHANNELS
# A batch is 31 MB; what is far larger is no batch.
MOST_BYTES = 64 << 20

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVES = {
    "c58f30108f718f92721af3b95e74349a": "the python version",
    "c32a1d4ab5d03f1284b67883e8d87530": "the binary version",
}
# The official hashes (MD5) of the python version's batches. The binary version's batches have none of their own.
PYTHON_BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
FETCH_AGAIN = "fetch the archive again"
# What reading a damaged archive raises, by its compression.
DAMAGED = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)


class Cifar10(NamedTuple):
    """The corpus.

    Attributes:
        train: uint8 (images, 32, 32, 3), the five batches in order.
        test: the same of the test batch.
        partial: whether there are fewer images than CIFAR-10 has.
        files: file → its MD5; of PNG files, set → the MD5 of its pixels.
        name: in words; says so where the files are not CIFAR-10's own.
    """

    train: np.ndarray
    test: np.ndarray
    partial: bool
    files: dict[str, str]
    name: str = "CIFAR-10"


class Batch(NamedTuple):
    """One file's images (uint8 (images, 32, 32, 3)), labels and hash."""

    images: np.ndarray
    labels: np.ndarray
    md5: str


def read_cifar10(source: str | Path, allow_partial: bool = False) -> Cifar10:
    """Read the corpus and check every batch: size, range of the labels, hash.

    Args:
        source: the official archive, or a folder `cifar-10-batches-py` or `cifar-10-batches-bin`, or one above it. With
            `allow_partial` also another tar of the same batches, or PNG files `train/<class>/*.png` and
            `test/<class>/*.png` in a folder or tar.
        allow_partial: take batches with fewer than 10,000 images, whose hashes then can't be those of the whole ones,
            and what has no official hash.

    Raises:
        InputError: naming the file, where anything is missing, damaged or not CIFAR-10.
    """
    source = Path(source)
    if source.is_dir():
        contents, is_archive = _folder(source), False
    elif source.is_file():
        if not allow_partial:
            check_archive(source)
        contents, is_archive = _archive(source), True
    else:
        raise InputError(f"{source}: no such file or folder; expected CIFAR-10's archive, or cifar-10-batches-py")
    batches: dict[str, Batch] = {}
    pictures: list[tuple[str, str, bytes]] = []
    for where, name, content in contents:
        if is_picture(name):
            pictures.append((where, name, content))
            continue
        read = read_binary_batch if name.endswith(".bin") else read_python_batch
        batches[name.removesuffix(".bin")] = _checked(where, name, content, read, allow_partial)
    if pictures and not batches:
        return _from_pictures(source, pictures, allow_partial)
    # A sound archive has them all, but it need not be one of CIFAR-10's own making.
    if missing := sorted(PYTHON_BATCHES.keys() - batches.keys()):
        raise InputError(f"{source}: has no {missing[0]}; {FETCH_AGAIN if is_archive else 'expected all six batches'}")
    train = [batches[name].images for name in PYTHON_BATCHES if name != "test_batch"]
    return Cifar10(
        np.concatenate(train),
        batches["test_batch"].images,
        any(len(batch.images) < ROWS for batch in batches.values()),
        {name: batch.md5 for name, batch in batches.items()},
    )


def _from_pictures(source: Path, pictures: list[tuple[str, str, bytes]], allowed: bool) -> Cifar10:
    if not allowed:
        raise InputError(
            f"{source}: PNG files by class, for which there are no official hashes; give --allow_partial to take them, "
            "which every result will say"
        )
    sets, partial = read_pictures(str(source), pictures)
    hashes = {name: hashlib.md5(images.tobytes()).hexdigest() for name, images in sets.items()}
    return Cifar10(sets["train"], sets["test"], partial, hashes, "CIFAR-10 from PNG files")


def check_archive(path: Path) -> None:
    """Raise InputError unless the archive is one of the official two, byte for byte."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found not in ARCHIVES:
        _check_tar(path)
        expected = " or ".join(f"{md5} ({version})" for md5, version in ARCHIVES.items())
        raise InputError(
            f"{path}: its MD5 is {found}, expected {expected}; it is damaged, cut short or another archive: "
            f"remove it and {FETCH_AGAIN} from {URL}; or, if others packed it so, give --allow_partial"
        )


def _check_tar(path: Path) -> None:
    """Raise InputError if a file is no tar archive at all, so that nobody looks for damage."""
    with path.open("rb") as file:
        head = file.read(12)
    try:
        tarfile.open(path, "r:*").close()
    except DAMAGED:
        raise InputError(
            f"{path}: no tar archive, compressed or not: {f'it begins with {head!r}' if head else 'it is empty'}; "
            "expected cifar-10-python.tar.gz or cifar-10-binary.tar.gz, or the folder that it unpacks to"
        ) from None


def _folder(source: Path) -> Iterator[tuple[str, str, bytes]]:
    """Where, name and content of each batch of a folder, or else of each picture, whose name is its path in it."""
    for folder in (source, source / "cifar-10-batches-py", source / "cifar-10-batches-bin"):
        for suffix in ("", ".bin"):
            if (folder / f"data_batch_1{suffix}").is_file():
                for name in PYTHON_BATCHES:
                    path = folder / f"{name}{suffix}"
                    if not path.is_file():
                        raise InputError(f"{path}: no such file; the folder is not whole, {FETCH_AGAIN}")
                    if path.stat().st_size > MOST_BYTES:
                        raise InputError(f"{path}: {path.stat().st_size} bytes are no batch of CIFAR-10")
                    yield str(path), path.name, path.read_bytes()
                return
    found = False
    for path in source.rglob("*.[pP][nN][gG]"):
        name = path.relative_to(source).as_posix()
        if is_picture(name) and path.stat().st_size <= MOST_PICTURE_BYTES:
            found = True
            yield str(path), name, path.read_bytes()
    if not found:
        raise InputError(
            f"{source}: no data_batch_1 or data_batch_1.bin here; expected the folder cifar-10-batches-py, or PNG "
            "files train/<class>/*.png and test/<class>/*.png"
        )


def _archive(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Where, name and content of each batch and picture of an archive, which is read without being unpacked."""
    _check_tar(path)
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = member.name if is_picture(member.name) else Path(member.name).name
                is_batch = name.removesuffix(".bin") in PYTHON_BATCHES
                if not member.isfile() or member.size > (MOST_BYTES if is_batch else MOST_PICTURE_BYTES):
                    continue
                if is_batch or is_picture(name):
                    yield f"{path}: {member.name}", name, archive.extractfile(member).read()
    except DAMAGED as error:
        raise InputError(f"{path}: damaged or cut short ({error}); remove it and {FETCH_AGAIN}") from error


def _checked(
    where: str, name: str, content: bytes, read: Callable[[str, bytes], tuple[np.ndarray, np.ndarray]], partial: bool
) -> Batch:
    """A batch of the right size, labels and hash."""
    images, labels = read(where, content)
    if not 0 < len(images) <= ROWS:
        raise InputError(f"{where}: {len(images)} images, expected {ROWS:,}; {FETCH_AGAIN}")
    if len(labels) != len(images):
        raise InputError(f"{where}: {len(images)} images and {len(labels)} labels; {FETCH_AGAIN}")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise InputError(
            f"{where}: labels from {labels.min()} to {labels.max()}, expected 0 to {CLASSES - 1}; {FETCH_AGAIN}"
        )
    if len(images) < ROWS and not partial:
        raise InputError(
            f"{where}: {len(images)} images, expected {ROWS:,}; {FETCH_AGAIN}, or give --allow_partial to work with "
            "fewer, which every result will say"
        )
    md5 = hashlib.md5(content).hexdigest()
    expected = PYTHON_BATCHES.get(name)
    if len(images) == ROWS and expected and md5 != expected:
        raise InputError(f"{where}: its MD5 is {md5}, expected {expected}; it is not the official file: {FETCH_AGAIN}")
    return Batch(images, labels, md5)


def read_python_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a batch of the python version, a pickle, of which nothing is executed.

    Args:
        where: the file, for messages.
        content: all of it.

    Raises:
        InputError: it is damaged, cut short or foreign.
    """
    try:
        batch = load_arrays(content)
    except ForeignPickleError as error:
        raise InputError(
            f"{where}: a foreign pickle: it asks for {error}, and a batch holds plain values and arrays only; "
            f"nothing of it was run: {FETCH_AGAIN}"
        ) from None
    except ValueError as error:
        raise InputError(f"{where}: damaged or cut short ({error}); {FETCH_AGAIN}") from error
    batch = batch if isinstance(batch, dict) else {}
    data, labels = (batch.get(key, batch.get(key.encode())) for key in ("data", "labels"))
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS:
        found = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise InputError(f"{where}: its data is {found}, expected uint8 (images, {PIXELS}); {FETCH_AGAIN}")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise InputError(f"{where}: its labels are {type(labels).__name__}, expected a list of integers; {FETCH_AGAIN}")
    return as_images(data), np.array(labels, dtype=np.int64)


def read_binary_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a batch of the binary version: for each image a byte of label and its pixels.

    Args:
        where: the file, for messages.
        content: all of it.

    Raises:
        InputError: it ends in the middle of an image.
    """
    if len(content) % (PIXELS + 1):
        raise InputError(
            f"{where}: {len(content)} bytes, expected a multiple of {PIXELS + 1}: cut short or another file; "
            f"{FETCH_AGAIN}"
        )
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, PIXELS + 1)
    return as_images(rows[:, 1:]), rows[:, 0].astype(np.int64)


def as_images(rows: np.ndarray) -> np.ndarray:
    """Rows of 1,024 red, 1,024 green and 1,024 blue values as pictures: (images, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, CHANNELS, SIZE, SIZE).transpose(0, 2, 3, 1))
