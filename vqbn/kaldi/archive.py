"""Kaldi archives of matrices and vectors: an `ark` with the data and an `scp` that says where each item is."""

import gzip
import io
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import kaldiio
import numpy as np

from vqbn.errors import InputError
from vqbn.files import replacing, write_text
from vqbn.kaldi.item import ForeignItemError, read_item
from vqbn.text_files import read_lines


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
PART = r"(\d+(?::\d+)?|:?)"
RANGE = re.compile(rf"\[{PART}(?:,{PART})?\]$")


class Place(NamedTuple):
    """Where an item is: what an entry of an `scp` says.

    Attributes:
        source: a file, or a shell command without the bar at its end.
        command: whether it is a command, which is run when the item is read, and only then.
        offset: of the item in the file, in bytes; 0 for a file with one item.
        part: the rows, or rows and columns, that are wanted of it.
    """

    source: str
    command: bool
    offset: int
    part: tuple[slice, ...]

    @classmethod
    def of(cls, entry: str) -> "Place":
        """Take an entry apart."""
        ranges = RANGE.search(entry)
        part = tuple(_slice(text) for text in ranges.groups() if text is not None) if ranges else ()
        whole = RANGE.sub("", entry).rstrip()
        if whole.endswith("|"):
            return cls(whole[:-1], True, 0, part)
        file, _, offset = whole.rpartition(":")
        return cls(file, False, int(offset), part) if offset.isdecimal() else cls(whole, False, 0, part)


def _slice(text: str) -> slice:
    """A range of Kaldi's, whose end is included; all where it is empty or a colon."""
    if text in ("", ":"):
        return slice(None)
    first, _, last = text.partition(":")
    return slice(int(first), int(last or first) + 1)


def _read(place: Place) -> np.ndarray:
    """Read what is at a place; raises as `read_item`, and OSError."""
    if place.command:
        written = subprocess.run(place.source, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if written.returncode:
            raise OSError(f"the command failed with status {written.returncode}")
        array = read_item(io.BytesIO(written.stdout))
    else:
        with gzip.open(place.source) if place.source.endswith(".gz") else open(place.source, "rb") as file:
            file.seek(place.offset)
            array = read_item(file)
    return array[place.part] if place.part else array


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
            return _read(Place.of(entry))
        except OSError as error:
            raise InputError(
                f"{self.path}: '{key}' can't be read from {entry}: {error.strerror or error}; "
                "run the stage that makes it again"
            ) from error
        except ForeignItemError as error:
            raise InputError(f"{self.path}: '{key}' in {entry} is {error}") from error
        except Exception as error:  # what kaldiio raises for damaged data is not specified
            raise InputError(
                f"{self.path}: '{key}' is damaged in {entry}; run the stage that makes it again"
            ) from error


def read_scp(path: str | Path) -> Archive:
    """Read an `scp` file; the items themselves are read when asked for.

    Entries are those of Kaldi: `file:offset` into an archive, binary or text, with plain or compressed matrices;
    `file` with one item, gzipped or not; a shell command `command |`; each with a range of rows and columns such as
    `[0:99]` or `[0:99,0:39]`, ends included. Relative paths start from the current directory.

    Raises:
        InputError: the file is missing or empty, a line is malformed or a duplicate, or an `ark` isn't there.
    """
    path = Path(path)
    entries: dict[str, str] = {}
    sources: set[str] = set()
    for number, line in read_lines(path, "run the stage that makes it"):
        key, *rest = line.split(maxsplit=1)
        place = Place.of(rest[0]) if rest else None
        if place is None or not place.source:
            raise InputError(f"{path}:{number}: found '{line[:80]}'; expected 'utterance file.ark:offset'")
        if key in entries:
            raise InputError(f"{path}:{number}: '{key}' is here twice; run the stage that makes the file again")
        if place.source not in sources and not place.command:
            if not os.path.isfile(place.source):
                raise InputError(
                    f"{path}:{number}: points to {place.source}, which isn't there; run the stage that makes it again"
                )
            sources.add(place.source)
        entries[key] = rest[0]
    if not entries:
        raise InputError(f"{path}:1: the file is empty; expected lines 'utterance file.ark:offset'")
    return Archive(path, entries)
