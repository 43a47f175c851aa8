"""Feature vectors out of the files that people keep them in."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from kaldiio.matio import read_token

from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.item import ForeignItemError, read_item

# An array without utterances is cut into runs of so many rows.
ROWS = 1000


def read_vectors(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read matrices one after the other; only one is in memory at a time, but for a compressed .npz.

    Args:
        path: Kaldi matrices, as an .scp or .ark file or a folder with feats.scp; or NumPy's, as an .npz file with an
            array (frames, dimensions) per utterance, or an .npy file. A single array is cut into runs of 1,000 rows.

    Yields:
        Name of an utterance or run, and its vectors, float (frames, dimensions); every one has the same dimensions.

    Raises:
        InputError: the file is missing, damaged, of another kind, or holds something else.
    """
    path = Path(path)
    dimensions = None
    for name, array in _arrays(path):
        if array.ndim != 2 or array.dtype.kind != "f":
            raise InputError(
                f"{path}: '{name}' is {array.dtype} of shape {array.shape}; expected floats (frames, dimensions)"
            )
        if dimensions is not None and array.shape[1] != dimensions:
            raise InputError(f"{path}: '{name}' has {array.shape[1]} dimensions; expected {dimensions}, as before it")
        dimensions = array.shape[1]
        yield name, array


def _arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if path.is_dir():
        if not (path / "feats.scp").is_file():
            raise InputError(f"{path}: has no feats.scp; give a folder of Kaldi features, or a file")
        path = path / "feats.scp"
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected an .scp, .ark, .npz or .npy file, or a folder with feats.scp")
    if path.suffix == ".scp":
        yield from read_scp(path).items()
    elif path.suffix == ".ark":
        yield from _ark(path)
    elif path.suffix in (".npz", ".npy"):
        yield from _numpy(path)
    else:
        raise InputError(f"{path}: found another ending, expected .scp, .ark, .npz or .npy")


def _ark(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        with path.open("rb") as file:
            while (name := read_token(file)) is not None:
                yield name, read_item(file)
    except OSError:
        raise
    except ForeignItemError as error:
        raise InputError(f"{path}: '{name}' is {error}") from error
    except Exception as error:  # what kaldiio raises for damaged data is not specified
        raise InputError(f"{path}: damaged, or not a Kaldi archive of matrices ({error})") from error


def _numpy(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        names = list(loaded) if isinstance(loaded, Mapping) else []
        if isinstance(loaded, Mapping) and not names:
            raise ValueError("no arrays")
        if len(names) > 1:
            for name in names:
                yield name, loaded[name]
            return
        whole = loaded[names[0]] if names else loaded
    except (ValueError, EOFError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: damaged, empty, or not a NumPy file of numbers ({error})") from error
    if whole.ndim != 2:
        yield names[0] if names else path.stem, whole
        return
    for start in range(0, len(whole), ROWS):
        yield f"rows {start} to {min(start + ROWS, len(whole)) - 1}", whole[start : start + ROWS]
