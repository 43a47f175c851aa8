"""One matrix or vector of Kaldi's at a place in an open file, and nothing else that such a place may hold."""

from typing import BinaryIO

import numpy as np
from kaldiio import matio

BINARY = b"\0B"
INT32 = b"\4"
# What kaldiio would read besides, by the first bytes; it unpickles the first.
FOREIGN = {
    b"PKL": "a pickle (PKL), which runs code when it is read",
    b"NPY": "a NumPy array (NPY)",
    b"AUDIO": "audio (AUDIO)",
    b"RIFF": "audio (RIFF)",
    b"fLaC": "audio (fLaC)",
}


class ForeignItemError(ValueError):
    """The item is neither a matrix nor a vector of Kaldi's; nothing of it was read but its first bytes."""


def read_item(file: BinaryIO) -> np.ndarray:
    """Read one item, binary or text, plain or compressed; the file is left behind it.

    Args:
        file: seekable, at the item, behind the key and its blank.

    Returns:
        float32 or float64 (rows, columns) or (n,), or int32 (n,).

    Raises:
        ForeignItemError: it is something else that people keep in archives.
        Exception: it is damaged; what kaldiio then raises is not specified.
    """
    start = file.tell()
    first = file.read(5)
    file.seek(start)
    for mark, what in FOREIGN.items():
        if first.startswith(mark):
            raise ForeignItemError(f"{what}; expected a matrix or vector of Kaldi's")
    if not first.startswith(BINARY):
        return matio.read_ascii_mat(file)
    if first[2:3] == INT32:
        return matio.read_int32vector(file)
    return matio.read_matrix_or_vector(file)
