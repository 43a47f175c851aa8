"""The ScribbleLens corpus as its zip file holds it: lists, line images, transcripts; read in place."""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vqbn.errors import InputError

COLOURS = ("bw", "gray", "color")
# A folder of a page: its number or a name, perhaps with the side of a spread ("12", "12.left", "page7", "page-f12r").
PAGE = re.compile(r"(?:(?:page\.?)?\d+[a-z]?|page-[^.]+)(?:\.\w+)?")


class Line(NamedTuple):
    """A line of handwriting.

    Attributes:
        id: its image's path in the corpus without the suffix.
        image: the image's path in the corpus, below the corpus's root.
        scribe: who wrote it.
        page: scribe and page, without the side of a spread; the scribe alone where there are no pages.
        text: the transcript, "" where there is none.
    """

    id: str
    image: str
    scribe: str
    page: str
    text: str


class CorpusZip:
    """A zip file with one root folder, which holds `corpora/` and the scribes' folders.

    Args:
        path: the zip file.

    Raises:
        InputError: it is missing, cut short, no zip file, or holds something else.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.zip = zipfile.ZipFile(self.path)
            self.names = set(self.zip.namelist())
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: no such file; expected the corpus's zip file (OpenSLR 84)") from error
        except IsADirectoryError as error:
            raise InputError(
                f"{self.path}: a folder, expected the corpus's zip file, which is read in place; scans with ALTO or "
                "PAGE XML are given with --pages"
            ) from error
        except (zipfile.BadZipFile, ValueError, EOFError) as error:
            if begins_as_xml(self.path):
                raise InputError(
                    f"{self.path}: an XML file, expected the corpus's zip file; give the folder with the scans and "
                    "their ALTO or PAGE XML with --pages"
                ) from error
            raise InputError(f"{self.path}: cut short, or not a zip file ({error}): fetch it again") from error
        roots = sorted({name.split("/corpora/")[0] for name in self.names if "/corpora/" in name})
        if len(roots) != 1:
            # A cut file can still be opened: by the directory of the zip of alignments inside it.
            raise InputError(
                f"{self.path}: cut short, or not in the layout of ScribbleLens: expected one folder with corpora/, "
                f"found {len(roots)}; fetch it again"
            )
        self.root = roots[0]

    def has(self, name: str) -> bool:
        """Whether there is such a file below the root."""
        return f"{self.root}/{name}" in self.names

    def read(self, name: str) -> bytes:
        """The content of a file below the root.

        Raises:
            InputError: it is not there, or what the zip file holds of it is damaged.
        """
        try:
            return self.zip.read(f"{self.root}/{name}")
        except KeyError as error:
            raise InputError(f"{self.path}: holds no {name}; the corpus is not whole, fetch it again") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise InputError(f"{self.path}: {name} is damaged ({error}); fetch the corpus again") from error

    def text(self, name: str) -> str:
        """A file's content as UTF-8 text.

        Raises:
            InputError: as `read`, or it is not UTF-8.
        """
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: {name}: not UTF-8 text ({error.reason} at byte {error.start})") from error

    def find(self, pattern: str) -> list[str]:
        """Files below the root whose path matches a regular expression, sorted."""
        inside = (name.removeprefix(f"{self.root}/") for name in self.names)
        return sorted(name for name in inside if re.fullmatch(pattern, name))


def begins_as_xml(path: Path) -> bool:
    """Whether a file's first character, after a byte-order mark and blanks, is `<`."""
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


@lru_cache(maxsize=2)
def open_corpus(path: str) -> CorpusZip:
    """The corpus, opened once per process; a zip's directory of tens of thousands of files is slow to read."""
    return CorpusZip(path)


def list_name(split: str, colour: str = "bw", part: str = "") -> str:
    """The path of a line list: split train, test or unsupervised; `part` is a slice such as tasman, or empty."""
    head = f"all.nl.{colour}" if split == "unsupervised" else f"nl.{colour}"
    return f"corpora/{head}.lines.{part + '.' if part else ''}{split}.dat"


def read_list(corpus: CorpusZip, name: str) -> list[tuple[str, str | None]]:
    """A line list: pairs of image and transcript (None: there is none), paths below the corpus's root.

    Raises:
        InputError: the list is not there (those that are, are named), is empty, names a file that the corpus lacks, or
            a line twice; with list and line.
    """
    if not corpus.has(name):
        known = ", ".join(path.removeprefix("corpora/") for path in corpus.find(r"corpora/.*\.dat")) or "none"
        raise InputError(
            f"{corpus.path}: holds no list {name}; it has: {known}; choose one with --slice and --color_mode"
        )
    entries: list[tuple[str, str | None]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(corpus.text(name).splitlines(), 1):
        where = f"{corpus.path}: {name}:{number}"
        fields = line.split()
        if not fields:
            continue
        if len(fields) > 2:
            raise InputError(f"{where}: found {len(fields)} fields, expected 'image [transcript]'")
        for path in fields:
            if not corpus.has(path):
                raise InputError(f"{where}: names {path}, which the corpus does not hold; fetch the corpus again")
        if fields[0] in seen:
            raise InputError(f"{where}: {fields[0]} is also on line {seen[fields[0]]}; remove one of them")
        seen[fields[0]] = number
        entries.append((fields[0], fields[1] if len(fields) == 2 else None))
    if not entries:
        raise InputError(f"{corpus.path}: {name}: the list is empty")
    return entries


def scribe_and_page(image: str) -> tuple[str, str]:
    """Scribe, and scribe/page, of an image path `.../<scribe>/[<page>[.<side>]/]line<N>.jpg`."""
    folders = image.split("/")[:-1]
    if len(folders) > 1 and PAGE.fullmatch(folders[-1]):
        return folders[-2], f"{folders[-2]}/{folders[-1].split('.')[0]}"
    scribe = folders[-1] if folders else "unknown"
    return scribe, scribe


def normalise_transcript(text: str) -> str:
    """A transcript as the authors score it: without full stops and apostrophes, one space between words."""
    return " ".join(re.sub("[.'’]", "", text).split())


def held_out_pages(lines: Sequence[Line], share: float) -> set[str]:
    """Whole pages for the development set: as few as hold at least `share` of the lines.

    Pages are taken in the order of a hash of their names, which spreads them over the scribes and stays the same
    whatever other pages there are.
    """
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.page] = counts.get(line.page, 0) + 1
    chosen: set[str] = set()
    held = 0
    for page in sorted(counts, key=lambda page: hashlib.sha256(page.encode()).digest()):
        if held >= share * len(lines):
            break
        chosen.add(page)
        held += counts[page]
    return chosen
