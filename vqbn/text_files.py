"""Text files as people have them: what editors and other systems put around the lines is taken away."""

import codecs
from pathlib import Path

from vqbn.errors import InputError

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(path: str | Path, advice: str) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, without byte-order mark and without CR and blanks at the end.

    Only newlines part lines: U+2028, U+0085 and the like may stand in a transcript.

    Args:
        path: the file.
        advice: what was expected, or what to do; it ends the message.

    Returns:
        Each line's number in the file, from 1, and the line.

    Raises:
        InputError: the file is missing, unreadable or not UTF-8.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; {advice}") from error
    lines = []
    for number, line in enumerate(byte_lines(content), 1):
        try:
            text = line.decode("utf-8").rstrip()
        except UnicodeDecodeError as error:
            found = "UTF-16" if content.startswith(UTF16) else f"byte {line[error.start]:#04x}"
            raise InputError(f"{path}:{number}: not UTF-8 text (found {found}): convert it; {advice}") from error
        if text:
            lines.append((number, text))
    return lines


def byte_lines(content: bytes) -> list[bytes]:
    """A file's content cut at its newlines, without a byte-order mark."""
    content = content.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n")
    return content.split(b"\n") if content else []
