"""Kaldi archives of matrices and vectors: an `ark` with the data and an `scp` that says where each item is."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import kaldiio
import numpy as np

from vqbn.errors import InputError
from vqbn.files import replacing, write_text


def write_archive(
    folder: str | Path, name: str, items: Iterable[tuple[str, np.ndarray]] | Mapping[str, np.ndarray]
) -> dict[str, int]:
    """Write `folder/name.ark` and `folder/name.scp`, each whole or not at all; the `scp` last.

    Args:
        folder: where to; it is made.
        name: the files' name without suffix.
        items: utterance ids with float matrices (rows, columns) or int32 vectors (n,); taken one at a time.

    Returns:
        Utterance id → offset of its item in the `ark`, in the order written.

    Raises:
        OSError: the folder can't be written or the disk is full; older files are untouched.
    """
    ark = Path(folder).absolute() / f"{name}.ark"
    offsets: dict[str, int] = {}
    with replacing(ark) as temporary, temporary.open("wb") as file:
        for key, array in items.items() if isinstance(items, Mapping) else items:
            offsets[key] = file.tell() + len(f"{key} ".encode())
            kaldiio.save_ark(file, {key: array})
    write_scp(ark.with_suffix(".scp"), {key: f"{ark}:{offset}" for key, offset in offsets.items()})
    return offsets


def write_scp(path: str | Path, entries: Mapping[str, str]) -> None:
    """Write lines `utterance ark:offset` in the mapping's order."""
    write_text(path, "".join(f"{key} {entry}\n" for key, entry in entries.items()))


# A range of rows, or of rows and columns, at the end of an entry.
RANGE = re.compile(r"\[[0-9:,]*\]$")


class Archive(Mapping):
    """Utterance id → array, read from the `ark` files when asked for, each time anew.

    It holds no open files, so it can be pickled and used in several processes.

    Args:
        path: the `scp`, for messages.
        entries: utterance id → `ark:offset`.
    """

    def __init__(self, path: Path, entries: dict[str, str]):
        self.path = path
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __getitem__(self, key: str) -> np.ndarray:
        """Read one item.

        Raises:
            KeyError: the `scp` doesn't have it.
            InputError: the `ark` is missing, cut short or holds something else there.
        """
        entry = self.entries[key]
        try:
            file, _, rows = entry.partition("[")
            array = kaldiio.load_mat(
                f"gunzip -c {shlex.quote(file)} |{rows and '[' + rows}" if file.endswith(".gz") else entry
            )
        except OSError as error:
            raise InputError(
                f"{self.path}: '{key}' can't be read from {entry}: {error.strerror or error}; "
                "run the stage that makes it again"
            ) from error
        except Exception as error:  # what kaldiio raises for damaged data is not specified
            raise InputError(
                f"{self.path}: '{key}' is damaged in {entry}; run the stage that makes it again"
            ) from error
        if not isinstance(array, np.ndarray):
            raise InputError(f"{self.path}: '{key}' in {entry} is neither a matrix nor a vector")
        return array


def read_scp(path: str | Path) -> Archive:
    """Read an `scp` file; the items themselves are read when asked for.

    Entries are those of Kaldi: `file:offset` into an archive, binary or text, with plain or compressed matrices;
    `file` with one item, gzipped or not; a shell command `command |`; each with a range of rows and columns such as
    `[0:99]` or `[0:99,0:39]`, ends included. Relative paths start from the current directory.

    Raises:
        InputError: the file is missing or empty, a line is malformed or a duplicate, or an `ark` isn't there.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; run the stage that makes it") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not an scp file: not UTF-8 text") from error
    entries: dict[str, str] = {}
    arks: set[str] = set()
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        key, _, entry = line.strip().partition(" ")
        entry = entry.strip()
        ark, _, offset = RANGE.sub("", entry).rpartition(":")
        if not offset.isdecimal():
            ark = RANGE.sub("", entry)
        if not ark:
            raise InputError(f"{path}:{number}: found '{line[:80]}'; expected 'utterance file.ark:offset'")
        if key in entries:
            raise InputError(f"{path}:{number}: '{key}' is here twice; run the stage that makes the file again")
        if ark not in arks and not ark.endswith("|"):
            if not os.path.isfile(ark):
                raise InputError(
                    f"{path}:{number}: points to {ark}, which isn't there; run the stage that makes it again"
                )
            arks.add(ark)
        entries[key] = entry
    return Archive(path, entries)
