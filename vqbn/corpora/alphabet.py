"""The characters of transcripts and their numbers."""

import json
from collections.abc import Iterable
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import write_text

BLANK = "*"
OBJECT = 'a JSON object of characters and ids, such as {"*": 0, "a": 1}'


class Alphabet:
    """Characters and their ids; `*`, the blank and the columns that belong to no character, is 0.

    Args:
        index: character → id. Two characters may share an id, as the space and `_` of the corpus's alphabets do.
    """

    def __init__(self, index: dict[str, int]):
        self.index = {**index, BLANK: 0}

    def __len__(self) -> int:
        return max(self.index.values()) + 1

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Alphabet":
        """The alphabet of all characters that occur, from 1, sorted."""
        characters = sorted(set().union(*map(set, texts), " ") - {BLANK})
        return cls({character: number for number, character in enumerate(characters, 1)})

    @classmethod
    def read(cls, path: str | Path) -> "Alphabet":
        """Read a JSON object of characters and ids, as the corpus's authors use.

        Raises:
            InputError: it can't be read, is no such object, or gives the id 0 to a character other than `*`.
        """
        path = Path(path)
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: can't be read: {error.strerror}; expected {OBJECT}") from error
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: not JSON ({error}); expected {OBJECT}") from error
        if not isinstance(index, dict) or not index:
            raise InputError(f"{path}: found something else, expected {OBJECT}")
        for character, number in index.items():
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise InputError(f"{path}: key '{character}': found {number}, expected a whole number from 0")
            if (number == 0) != (character == BLANK):
                raise InputError(f"{path}: key '{character}': found id {number}; 0 is the id of '{BLANK}' alone")
        return cls(index)

    def write(self, path: str | Path) -> None:
        """Write it as `read` takes it."""
        write_text(path, json.dumps(self.index, ensure_ascii=False, indent=0) + "\n")

    def encode(self, text: str, where: str) -> list[int]:
        """The ids of a text's characters.

        Raises:
            InputError: it lacks a character; the message begins with `where`.
        """
        for character in text:
            if character not in self.index:
                raise InputError(
                    f"{where}: the alphabet has no '{character}' (U+{ord(character):04X}); add it to the alphabet, or "
                    "leave --alphabet away to have one made from the transcripts"
                )
        return [self.index[character] for character in text]
