"""Word and character error rates."""

import pytest

from vqbn.errors import InputError
from vqbn.metrics.per import Errors, total
from vqbn.tasks.recognition.text import text_errors

REFERENCES = {"a": "THE CAT SAT", "b": "ON A MAT"}


def test_words_and_characters_are_counted_by_hand():
    hypotheses = {"a": "THE CATS AT", "b": "A MAT"}
    words = text_errors(hypotheses, REFERENCES, "wer")
    assert words["a"] == Errors(substitutions=2, reference_length=3)
    assert words["b"] == Errors(deletions=1, reference_length=3)
    characters = text_errors(hypotheses, REFERENCES, "cer")
    # A space is a character: "CAT SAT" and "CATS AT" differ in two, and "ON " is three.
    assert characters["a"].edits == 2
    assert characters["b"] == Errors(deletions=3, reference_length=8)
    assert total(characters.values()).reference_length == 11 + 8


def test_other_utterances_are_refused():
    with pytest.raises(InputError, match="no hypothesis"):
        text_errors({"a": "THE"}, REFERENCES, "wer")
