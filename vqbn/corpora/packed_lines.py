"""Lines of handwriting, decoded once and packed into arrays that a training reads without copying the file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vqbn.corpora.alphabet import Alphabet
from vqbn.corpora.line_corpus import Line
from vqbn.errors import InputError
from vqbn.files import write_text

PACKED = ("id", "columns", "scribe", "page", "text")


def write_table(path: str | Path, fields: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table with a line of field names, fields parted by tabs."""
    lines = ["\t".join(fields), *("\t".join(map(str, row)) for row in rows)]
    write_text(path, "".join(line + "\n" for line in lines))


def read_table(path: str | Path, fields: Sequence[str], advice: str) -> list[list[str]]:
    """Read what `write_table` wrote.

    Raises:
        InputError: it is not there (then `advice` says what to do), or not such a table.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; {advice}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; {advice}") from error
    if lines[0].split("\t") != list(fields):
        raise InputError(f"{path}:1: found '{lines[0][:60]}', expected the fields {', '.join(fields)}; {advice}")
    rows = [line.split("\t") for line in lines[1:-1]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(fields):
            raise InputError(f"{path}:{number}: found {len(row)} fields, expected {len(fields)}; {advice}")
    if not rows or lines[-1]:
        raise InputError(f"{path}: {'cut short' if rows else 'holds no lines'}; {advice}")
    return rows


def write_packed(
    folder: Path, lines: Sequence[Line], images: Sequence[np.ndarray], labels: Sequence[np.ndarray] | None
) -> None:
    """Write `pixels.npy`, `lines.tsv` and, given labels, `labels.npy` into a folder.

    Args:
        folder: an existing folder.
        lines: what the images are of.
        images: uint8 (columns, height) grey levels of each line.
        labels: int16 (columns,) character ids of each line, −1 where nobody knows.
    """
    np.save(folder / "pixels.npy", np.concatenate(images))
    if labels is not None:
        np.save(folder / "labels.npy", np.concatenate(labels))
    rows = [(x.id, len(image), x.scribe, x.page, x.text) for x, image in zip(lines, images, strict=True)]
    write_table(folder / "lines.tsv", PACKED, rows)


class LineDataset:
    """The lines of a set that stage 2 packed.

    Args:
        dump: the folder of stage 2.
        name: the set, a folder in it.

    Attributes:
        ids: of the lines, in the list's order.
        columns: int64 (lines,) columns of each.
        texts: transcripts, "" where there is none.
        scribes, pages: of each line.
        height: pixels of a column.
        levels: grey levels; pixels are 0 (ink) to levels − 1.
        alphabet: characters and their ids.

    Raises:
        InputError: stage 2 has not been run, or its files don't fit together.
    """

    def __init__(self, dump: str | Path, name: str):
        dump = Path(dump)
        folder = dump / name
        advice = "run stage 2 again"
        info = dump / "info.json"
        try:
            about = json.loads(info.read_text(encoding="utf-8"))
            self.height, self.levels = int(about["height"]), int(about["grey_levels"])
        except OSError as error:
            raise InputError(f"{info}: can't be read: {error.strerror}; run stage 2 first") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{info}: not what stage 2 writes ({error}); {advice}") from error
        rows = read_table(folder / "lines.tsv", PACKED, advice)
        self.name = name
        self.ids = [row[0] for row in rows]
        try:
            self.columns = np.array([int(row[1]) for row in rows], dtype=np.int64)
        except ValueError as error:
            raise InputError(f"{folder / 'lines.tsv'}: columns that are not a whole number ({error})") from error
        self.scribes, self.pages, self.texts = ([row[i] for row in rows] for i in (2, 3, 4))
        self._starts = np.concatenate([[0], np.cumsum(self.columns)])
        self._pixels = self._load(folder / "pixels.npy", (int(self._starts[-1]), self.height), "u")
        has_labels = (folder / "labels.npy").exists()
        self._labels = self._load(folder / "labels.npy", (int(self._starts[-1]),), "i") if has_labels else None
        self.alphabet = Alphabet.read(dump / "alphabet.json")

    @staticmethod
    def _load(path: Path, shape: tuple[int, ...], kind: str) -> np.ndarray:
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: missing or damaged ({error}); run stage 2 again") from error
        if array.shape != shape or array.dtype.kind != kind:
            raise InputError(f"{path}: found {array.dtype} {array.shape}, expected {shape}; run stage 2 again")
        return array

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def aligned(self) -> bool:
        """Whether there are alignments."""
        return self._labels is not None

    def pixels(self, line: int, start: int = 0, columns: int | None = None) -> np.ndarray:
        """uint8 (columns, height): the grey levels of a line, or of `columns` columns of it from `start` on."""
        first = self._starts[line] + start
        last = self._starts[line + 1] if columns is None else first + columns
        return self._pixels[first:last]

    def level_counts(self) -> np.ndarray:
        """int64 (levels,): how many pixels of the set have each grey level."""
        return sum(np.bincount(self.pixels(line).ravel(), minlength=self.levels) for line in range(len(self)))

    def labels(self, line: int) -> np.ndarray:
        """int16 (columns,): the character id of each column, −1 where nobody knows."""
        if self._labels is None:
            return np.full(self.columns[line], -1, dtype=np.int16)
        return self._labels[self._starts[line] : self._starts[line + 1]]
