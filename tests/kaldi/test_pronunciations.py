"""Words that a lexicon lacks, made from others."""

from pathlib import Path

import pytest

from vqbn.kaldi.pronunciations import MOST, pronounce

LEXICON = {
    word: [tuple(spoken.split()) for spoken in variants.split(",")]
    for word, variants in {
        "comma": "K AA M AH",
        "left": "L EH F T",
        "double": "D AH B AH L",
        "quote": "K W OW T",
        "dash": "D AE SH",
        "half": "HH AE F",
        "a": "AH,EY",
        "'em": "AH M",
        "bush": "B UH SH",
        "bushes": "B UH SH IH Z",
        "boesky": "B OW S K IY",
    }.items()
}


@pytest.mark.parametrize(
    ("word", "spoken"),
    [
        ("COMMA", ["K AA M AH"]),
        ("'em", ["AH M"]),
        (",COMMA", ["K AA M AH"]),
        ("-DASH", ["D AE SH"]),
        ('"DOUBLE-QUOTE', ["D AH B AH L K W OW T"]),
        ("(LEFT-PAREN", ["L EH F T P ER EH N"]),
        ("<NOISE>", ["NSN"]),
        ("!SIL", ["SIL"]),
        ("<spoken_noise>", ["SPN"]),
        ("HALF-A", ["HH AE F AH", "HH AE F EY"]),
        ("BUSH'S", ["B UH SH IH Z"]),
        ("BUSHES'", ["B UH SH IH Z"]),
        ("LEFT'S", ["L EH F T S"]),
        ("BOESKY'S", ["B OW S K IY Z"]),
        ("A-BOESKY'S", ["AH B OW S K IY Z", "EY B OW S K IY Z"]),
        *((word, []) for word in ("XYZZY", "XYZZY'S", "HALF-", "-", ",", "A--A", "COMMA.", "'s", "s'", "")),
    ],
)
def test_pronunciations(word, spoken):
    assert [" ".join(phones) for phones in pronounce(word, LEXICON)] == spoken


def test_a_compound_has_a_few_pronunciations_at_most():
    found = pronounce("-".join("a" * 40), LEXICON)
    assert len(found) == len(set(found)) == MOST
    assert found[:2] == [("AH",) * 40, ("AH",) * 39 + ("EY",)]


def test_the_rules_agree_with_the_cmu_dictionary():
    """Compounds and possessives that the dictionary has: without them, the rules nearly always find one of its
    pronunciations."""
    pocketsphinx = pytest.importorskip("pocketsphinx")
    from vqbn.kaldi.forced_alignment import read_lexicon

    lexicon = read_lexicon(Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")))
    for words, at_least in (
        ([word for word in lexicon if word.endswith("'s")], 0.95),
        ([word for word in lexicon if "-" in word[1:-1]], 0.8),
    ):
        same = []
        for word in words[::10]:
            expected = lexicon.pop(word)
            if found := pronounce(word, lexicon):
                same.append(any(spoken in expected for spoken in found))
            lexicon[word] = expected
        assert len(same) > 50
        assert sum(same) >= at_least * len(same)
