"""The symbols that a recogniser tells apart."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.text_files import read_lines

BLANK = "<blank>"


class Tokens:
    """Symbols numbered from 0; 0 is the blank of CTC, and in alignments a gap that no phone covers.

    Args:
        symbols: all symbols in order, the blank first.

    Attributes:
        symbols: list of str.
        index: symbol → number.
    """

    def __init__(self, symbols: Sequence[str]):
        self.symbols = list(symbols)
        self.index = {symbol: number for number, symbol in enumerate(self.symbols)}
        if not self.symbols or self.symbols[0] != BLANK or len(self.index) != len(self.symbols):
            raise ValueError(f"tokens must be distinct and begin with {BLANK}, found {self.symbols[:3]}...")

    def __len__(self) -> int:
        return len(self.symbols)

    def names(self, indices: Iterable[int]) -> list[str]:
        """The symbols of a sequence of token numbers."""
        return [self.symbols[i] for i in indices]

    @classmethod
    def read(cls, path: str | Path) -> "Tokens":
        """Read lines `symbol number`, numbers counting from 0.

        Raises:
            InputError: the file is missing, or a line is malformed, out of order or a duplicate.
        """
        symbols: list[str] = []
        for number, line in read_lines(path, "stage 2 makes the token list"):
            fields = line.split()
            where = f"{path}:{number}"
            if len(fields) != 2 or fields[1] != str(len(symbols)):
                raise InputError(f"{where}: found '{line[:80]}'; expected 'symbol {len(symbols)}'; run stage 2 again")
            if fields[0] in symbols:
                raise InputError(f"{where}: '{fields[0]}' is here twice; run stage 2 again")
            symbols.append(fields[0])
        if not symbols or symbols[0] != BLANK:
            raise InputError(f"{path}:1: found '{symbols[0] if symbols else ''}'; expected '{BLANK} 0' first")
        return cls(symbols)

    def write(self, path: str | Path) -> None:
        """Write lines `symbol number`."""
        write_text(path, "".join(f"{symbol} {number}\n" for number, symbol in enumerate(self.symbols)))
