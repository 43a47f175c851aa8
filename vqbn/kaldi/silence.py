"""Which phones are silence: as Kaldi's language folder, the user, or else the phone's own name says."""

import logging
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.kaldi.symbols import POSITION, read_symbols
from vqbn.kaldi.tokens import Tokens
from vqbn.text_files import read_lines

logger = logging.getLogger(__name__)

# One phone a line, in a data directory after stage 1 and in the folder of features after stage 2.
FILE = "silence_phones.txt"
SILENCE = "SIL"
USUAL = re.compile(r"(?i)[<\[!]?sil(ence)?[>\]]?")


def usual_silence(phones: Iterable[str]) -> list[str]:
    """The silence among some phones by its name: `SIL`, or where there is none `sil`, `<sil>` and `silence`."""
    phones = sorted(set(phones))
    return [SILENCE] if SILENCE in phones else [phone for phone in phones if USUAL.fullmatch(phone)]


def checked_silence(given: str, phones: Collection[str]) -> list[str]:
    """The phones of `--silence_phones`, apart by blanks.

    Raises:
        InputError: one is not among the phones.
    """
    chosen = list(dict.fromkeys(given.split()))
    for phone in chosen:
        if phone not in phones:
            raise InputError(f"--silence_phones: there is no phone '{phone}'; there are {' '.join(sorted(phones))}")
    return chosen


def kaldi_silence(ali_dir: str | Path, phones: str | Path | None = None) -> list[str]:
    """The silence of the language folder that alignments were made with, without word position; none if it isn't there.

    Optional silence, what stands between words, comes first: `silence.csl` counts noises among the silences, which a
    recogniser has to find. The folder is the one of `phones`, or a `phones` in the alignments' or a graph's folder, or
    one of `data/lang*` whose symbol table is the alignments'.

    Args:
        ali_dir: the alignments' folder.
        phones: the symbol table, if it isn't `ali_dir/phones.txt`.

    Raises:
        InputError: a file is malformed.
    """
    ali_dir = Path(ali_dir).absolute()
    table = ali_dir / "phones.txt" if phones is None else Path(phones)
    if not table.is_file():
        return []
    symbols = read_symbols(table)
    langs = [table.parent, *sorted(ali_dir.glob("graph*"))]
    langs += [lang for parent in ali_dir.parents[1:4] for lang in sorted(parent.glob("data/lang*"))]
    for lang in langs:
        if not (lang / "phones").is_dir() or (
            (lang / "phones.txt").is_file() and read_symbols(lang / "phones.txt") != symbols
        ):
            continue
        if (file := lang / "phones/optional_silence.txt").is_file():
            found = [line.strip() for _, line in read_lines(file, "expected a phone")]
        elif (file := lang / "phones/silence.csl").is_file():
            ids = "".join(line for _, line in read_lines(file, "expected phones' ids")).split(":")
            if unknown := [index for index in ids if not index.strip().isdecimal() or int(index) not in symbols]:
                raise InputError(f"{file}: found '{unknown[0][:20]}'; expected ids of {table}, apart by colons")
            found = [symbols[int(index)] for index in ids]
        else:
            continue
        silence = list(dict.fromkeys(POSITION.sub("", phone) for phone in found))
        logger.info("%s: silence is %s", file, " ".join(silence))
        return silence
    return []


def write_silence(folder: str | Path, phones: Collection[str]) -> None:
    """Write a folder's silence phones; where none are known, an older file is removed."""
    if phones:
        write_text(Path(folder) / FILE, "".join(f"{phone}\n" for phone in phones))
    else:
        (Path(folder) / FILE).unlink(missing_ok=True)


def read_silence(folder: str | Path, tokens: Tokens) -> list[str]:
    """The silence among a folder's tokens: as its file says, or by name where it has none.

    Raises:
        InputError: the file can't be read.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return usual_silence(tokens.symbols)
    listed = [line.strip() for _, line in read_lines(path, "stage 1 makes it")]
    # A list that an earlier aligner left says nothing about other phones.
    return [phone for phone in listed if phone in tokens.index] or usual_silence(tokens.symbols)
