"""Pronunciations of words that no lexicon has: noises, spelt-out punctuation, compounds, possessives."""

import itertools
from collections.abc import Mapping, Sequence

Pronunciations = Sequence[tuple[str, ...]]

# Words that stand for sounds, as Kaldi's WSJ recipe has them.
SPECIAL = {"!SIL": "SIL", "<NOISE>": "NSN", "<SPOKEN_NOISE>": "SPN", "<UNK>": "SPN"}
# WSJ's speakers read some punctuation aloud; its name follows the mark: ,COMMA or (LEFT-PAREN.
MARKS = "!\"#%&'(),-./:;?{}"
# Names of marks that the CMU dictionary of today lacks.
NAMES = {
    "ellipsis": (("IH", "L", "IH", "P", "S", "IH", "S"),),
    "paren": (("P", "ER", "EH", "N"),),
    "parens": (("P", "ER", "EH", "N", "Z"),),
}
SIBILANTS = ("S", "Z", "SH", "ZH", "CH", "JH")
VOICELESS = ("P", "T", "K", "F", "TH")
# A compound of several words that have several pronunciations each has very many.
MOST = 8


def pronounce(word: str, lexicon: Mapping[str, Pronunciations]) -> Pronunciations:
    """Give a word's pronunciations, made from others' where the lexicon lacks it.

    In this order: as the lexicon has it; a noise (`<NOISE>`); the name of a punctuation mark (`,COMMA`, `--DASH`); a
    compound of words (`HALF-A-DOZEN`); a possessive (`BOESKY'S`, `BUSHES'`).

    Args:
        word: in any case.
        lexicon: word in lower case → its pronunciations, of CMU phones without stress.

    Returns:
        The pronunciations, at most 8 for a compound; none if the word can't be made from others.
    """
    word = word.lower()
    if found := lexicon.get(word) or NAMES.get(word):
        return found
    if word.upper() in SPECIAL:
        return [(SPECIAL[word.upper()],)]
    bare = word.lstrip(MARKS)
    if bare != word:
        return pronounce(bare, lexicon)
    if "-" in word:
        parts = [pronounce(part, lexicon) for part in word.split("-")]
        joined = itertools.islice(itertools.product(*parts), MOST)
        return list(dict.fromkeys(tuple(itertools.chain(*each)) for each in joined))
    if word.endswith("s'"):
        return pronounce(word[:-1], lexicon)
    if word.endswith("'s"):
        return [spoken + possessive(spoken[-1]) for spoken in pronounce(word[:-2], lexicon)]
    return ()


def possessive(last: str) -> tuple[str, ...]:
    """The phones that `'s` adds to a word whose last phone is `last`."""
    if last in SIBILANTS:
        return ("IH", "Z")
    return ("S",) if last in VOICELESS else ("Z",)
