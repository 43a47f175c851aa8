"""Transcripts in sclite's `trn` format: the tokens of an utterance, then its id in parentheses.

sclite gives some characters a meaning (`{ A / B }` are alternatives, `@` is an empty token, a parenthesis ends the
tokens, `;;` begins a comment) and has no way to quote them. Tokens and ids that hold such characters, or white space,
are written with those as `%XX`, the hexadecimal UTF-8 bytes, and read back as they were.
"""

import os
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.text_files import read_lines

SPECIAL = re.compile(r"[\s(){}%@;/\\]")
LINE = re.compile(r"(?P<tokens>[^()]*)\((?P<utterance>[^()\s]+)\)\s*")


def write_trn(path: str | os.PathLike, transcripts: Mapping[str, Sequence[str]]) -> None:
    """Write `TOKEN TOKEN ... (utterance)` lines, sorted by utterance, whole or not at all.

    Args:
        path: the file to make.
        transcripts: the tokens of each utterance; an utterance may have none.

    Raises:
        ValueError: a token or an id is the empty string.
        OSError: the file can't be written.
    """
    lines = [
        " ".join([*map(escape, tokens), f"({escape(utterance)})"]) + "\n"
        for utterance, tokens in sorted(transcripts.items())
    ]
    write_text(path, "".join(lines))


def read_trn(path: str | os.PathLike) -> dict[str, list[str]]:
    """Read a trn file: the tokens of each utterance, in the file's order. Empty lines and `;;` comments are skipped.

    Raises:
        InputError: a line is not `TOKEN ... (utterance)`, an utterance occurs twice, or the file can't be read or is
            not text.
    """
    transcripts: dict[str, list[str]] = {}
    for number, line in read_lines(path, "expected a trn file"):
        if line.lstrip().startswith(";;"):
            continue
        match = LINE.fullmatch(line)
        if not match:
            raise InputError(
                f"{path}:{number}: found {shorten(line)!r}, expected tokens and then the utterance in parentheses, "
                "'PH PH (utterance)'; make the file again"
            )
        utterance = unquote(match["utterance"])
        if utterance in transcripts:
            raise InputError(f"{path}:{number}: utterance {utterance!r} occurs twice; keep one of its lines")
        transcripts[utterance] = [unquote(token) for token in match["tokens"].split()]
    return transcripts


def escape(text: str) -> str:
    """`text` as one word that sclite takes literally."""
    if not text:
        raise ValueError("a trn file can't hold an empty token or utterance id")
    return SPECIAL.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def shorten(line: str, width: int = 60) -> str:
    """The line's beginning, for a message."""
    return line if len(line) <= width else line[: width - 3] + "..."
