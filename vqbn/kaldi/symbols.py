"""Symbol tables, and what remains of a Kaldi phone without its position and stress."""

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from vqbn.errors import InputError
from vqbn.text_files import read_lines

logger = logging.getLogger(__name__)

# Kaldi's lang preparation marks where a phone stands in its word: beginning, end, inside, singleton.
POSITION = re.compile(r"_[BEIS]$")
STRESS = re.compile(r"(?<=[A-Za-z])[012]$")
POSITIONS = ("_B", "_E", "_I", "_S")
CMU_VOWELS = frozenset(("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"))
# What has no position in a word: silences and noises by their usual names, and what stands in brackets or the like.
UNPLACED = re.compile(r"(?i)sil(ence)?|sp|spn|nsn|gbg|lau|noise|[<\[{(+!].*")
# In symbol tables, but no phones.
NO_PHONE = re.compile(r"<eps>|#\d+")


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


def base_phones(
    symbols: Iterable[str], source: str | Path, strip_stress: bool | None = None, strip_position: bool | None = None
) -> dict[str, str]:
    """What remains of each phone without word position and stress, where the whole set shows that it has these.

    `_B`, `_E`, `_I` and `_S` are positions if all phones have one, silences and phones that have all four apart: beside
    `t`, `d` and `a`, `t_S` is an affricate. A final 0, 1 or 2 is stress if all of CMU's vowels, and nothing else, end
    in one: `a1` to `a4` are tones, and `i2` may be a phone of its own. Which phones became one is logged.

    Args:
        symbols: all phones of a symbol table or CTM.
        source: where they are from, for the log.
        strip_stress: whether digits are stress, if it is known.
        strip_position: whether these endings are positions, if it is known.

    Returns:
        Symbol → base phone.
    """
    bare = {symbol: symbol for symbol in symbols}
    phones = [symbol for symbol in bare if not NO_PHONE.fullmatch(symbol)]
    placed = [phone for phone in phones if POSITION.search(phone)]
    if strip_position is None:
        strip_position = _have_positions(phones)
        if placed and not strip_position:
            logger.info(
                "%s: %s are kept apart: other phones have no position in a word (--strip_position true takes the "
                "endings away)",
                *(source, " ".join(placed)),
            )
    if strip_position:
        bare |= {phone: POSITION.sub("", phone) for phone in phones}
    names = dict.fromkeys(bare[phone] for phone in phones)
    numbered = [name for name in names if STRESS.search(name)]
    if strip_stress is None:
        strip_stress = _have_stress(names)
        if numbered and not strip_stress:
            logger.info(
                "%s: %s are kept apart: their digits are not the stress of CMU's vowels (--strip_stress true takes the "
                "digits away)",
                *(source, " ".join(numbered)),
            )
    merged = defaultdict(list)
    for name in names:
        merged[STRESS.sub("", name) if strip_stress else name].append(name)
    if len(phones) > len(merged):
        several = [f"{base} ({' '.join(each)})" for base, each in merged.items() if len(each) > 1]
        logger.info(
            "%s: %d symbols became %d phones; of phones that differ in more than position were merged: %s",
            *(source, len(phones), len(merged), ", ".join(several) or "none"),
        )
    return {phone: STRESS.sub("", name) if strip_stress else name for phone, name in bare.items()}


def _have_positions(phones: list[str]) -> bool:
    """Whether phones end in their position in a word."""
    known = set(phones)
    placed = [phone for phone in phones if POSITION.search(phone)]
    return bool(placed) and all(
        POSITION.search(phone) or UNPLACED.fullmatch(phone) or all(phone + end in known for end in POSITIONS)
        for phone in phones
    )


def _have_stress(phones: Collection[str]) -> bool:
    """Whether final digits are the stress of CMU's vowels, without word position."""
    numbered = {phone for phone in phones if phone[-1:].isdigit()}
    return (
        bool(numbered)
        and all(phone[:-1].upper() in CMU_VOWELS and phone[-1] in "012" for phone in numbered)
        and not any(phone.upper() in CMU_VOWELS for phone in phones)
    )
