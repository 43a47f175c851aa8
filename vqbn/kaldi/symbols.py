"""Symbol tables, and what remains of a Kaldi phone without its position and stress."""

import re
from pathlib import Path

from vqbn.errors import InputError
from vqbn.text_files import read_lines

# Kaldi's lang preparation marks where a phone stands in its word: beginning, end, inside, singleton.
POSITION = re.compile(r"_[BEIS]$")
STRESS = re.compile(r"(?<=[A-Za-z])[012]$")


def read_symbols(path: str | Path) -> dict[int, str]:
    """Read a symbol table such as `phones.txt`: lines `symbol id`.

    Returns:
        Id → symbol, in the file's order.

    Raises:
        InputError: the file is missing or empty, a line is malformed, or an id or symbol is there twice.
    """
    table: dict[int, str] = {}
    symbols: set[str] = set()
    for number, line in read_lines(path, "expected Kaldi's symbol table of phones"):
        columns = line.split()
        if len(columns) != 2 or not columns[1].isdecimal():
            raise InputError(f"{path}:{number}: found '{line[:80]}'; expected 'symbol id'")
        symbol, index = columns[0], int(columns[1])
        if index in table or symbol in symbols:
            raise InputError(f"{path}:{number}: '{symbol} {index}': the symbol or the id is on an earlier line too")
        table[index] = symbol
        symbols.add(symbol)
    if not table:
        raise InputError(f"{path}:1: the file is empty; expected lines 'symbol id'")
    return table


def base_phone(symbol: str, keep_stress: bool = False) -> str:
    """Strip word position and stress: `AH0_I` → `AH`, `SIL_B` → `SIL`.

    Args:
        symbol: the phone as in `phones.txt`.
        keep_stress: strip the word position only.
    """
    bare = POSITION.sub("", symbol)
    return bare if keep_stress else STRESS.sub("", bare)
