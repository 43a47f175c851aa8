"""Pickles of plain values and arrays, loaded without running anything that they say."""

import io
import pickle
from typing import Any

# Under the names that numpy has had for them; both stand for the same functions.
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    # Python 3 writes bytes so in the older protocols.
    ("_codecs", "encode"),
}


class ForeignPickleError(Exception):
    """The pickle wants something made that is neither a plain value nor an array; nothing was run."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise ForeignPickleError(f"{module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def load_arrays(content: bytes) -> Any:
    """What a pickle holds: lists, dictionaries, numbers, text, bytes (as Python 2 text too) and NumPy arrays.

    Args:
        content: the whole file.

    Raises:
        ForeignPickleError: it names any other class or function. That is found before it is called.
        ValueError: it is damaged, cut short or no pickle.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except ForeignPickleError:
        raise
    except Exception as error:  # what a damaged pickle raises is not specified
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())[:100]}") from error
