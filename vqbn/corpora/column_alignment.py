"""Which character each column of a line belongs to: the corpus's `paths` files."""

import re

from vqbn.errors import InputError


def parse_alignment(text: str, columns: int, where: str) -> list[tuple[str, int]]:
    """Read an alignment and check it column by column.

    The first line is `image columns ... targetStr:<text>`; then one line `t t+1 symbol score` per column of the image
    at 32 pixels' height. `SPACE` and `_` are the space, `*` is no character.

    Args:
        text: the file.
        columns: how many the line's image has.
        where: what the message begins with.

    Returns:
        Runs of (character, columns), adding up to `columns`.

    Raises:
        InputError: it is malformed, or of another length than the image.
    """
    lines = text.splitlines()
    header = lines[0].split() if lines else []
    if len(header) < 2 or not header[1].isdecimal():
        raise InputError(f"{where}:1: expected 'image columns ...', found '{lines[0][:60] if lines else ''}'")
    rows = [line for line in lines[1:] if line.strip()]
    for found, source in ((int(header[1]), "its first line says"), (len(rows), "it has")):
        if found != columns:
            raise InputError(f"{where}: {source} {found} columns, the image has {columns}")
    runs: list[tuple[str, int]] = []
    for t, row in enumerate(rows):
        match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s+(\S+)(?:\s+\S+)?\s*", row)
        if match is None or (int(match[1]), int(match[2])) != (t, t + 1):
            raise InputError(f"{where}:{t + 2}: expected '{t} {t + 1} symbol score', found '{row[:60]}'")
        symbol = " " if match[3] in ("SPACE", "_") else match[3]
        if len(symbol) != 1:
            raise InputError(f"{where}:{t + 2}: found the symbol '{symbol}', expected one character, SPACE or *")
        if runs and runs[-1][0] == symbol:
            runs[-1] = (symbol, runs[-1][1] + 1)
        else:
            runs.append((symbol, 1))
    return runs
