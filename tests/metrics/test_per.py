import math
import random

import pytest

from vqbn.errors import InputError
from vqbn.metrics.per import Errors, phone_errors, sequence_errors, speaker_errors, total, utterance_errors


def levenshtein(hyp, ref):
    """A plain dynamic program to check against."""
    row = list(range(len(ref) + 1))
    for i, h in enumerate(hyp, 1):
        previous, row = row, [i]
        for j, r in enumerate(ref, 1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (h != r)))
    return row[-1]


def test_counts_by_hand():
    # ref  S IH T      hyp  S EH T S: one substitution, one insertion.
    assert sequence_errors(["S", "EH", "T", "S"], ["S", "IH", "T"]) == Errors(1, 0, 1, 3)
    assert sequence_errors(["S"], ["S", "IH", "T"]) == Errors(0, 2, 0, 3)
    assert sequence_errors([], []) == Errors(0, 0, 0, 0)


def test_two_equal_phones_in_a_row_are_two_tokens():
    assert sequence_errors(["S"], ["S", "S"]) == Errors(0, 1, 0, 2)


@pytest.mark.parametrize("seed", range(5))
def test_edits_equal_a_plain_dynamic_program(seed):
    rng = random.Random(seed)
    for _ in range(50):
        hyp, ref = ([rng.randrange(4) for _ in range(rng.randrange(15))] for _ in range(2))
        errors = sequence_errors(hyp, ref)
        assert errors.edits == levenshtein(hyp, ref)
        assert errors.insertions - errors.deletions == len(hyp) - len(ref)
        assert errors.reference_length == len(ref)


def test_the_rate_is_pooled_and_not_a_mean_over_utterances():
    errors = phone_errors([["A"], ["A"] * 8], [["B"], ["A"] * 8 + ["B"]])
    assert errors == Errors(1, 1, 0, 10)
    assert errors.rate == 20.0  # the mean of the two utterances would be 55.6


def test_the_rate_may_exceed_100_and_is_nan_without_a_reference():
    assert phone_errors([[1, 2, 3]], [[4]]).rate == 300.0
    assert math.isnan(phone_errors([], []).rate)


def test_a_missing_hypothesis_is_refused():
    with pytest.raises(ValueError):
        phone_errors([[1]], [[1], [2]])


def test_silence_is_dropped_from_both_sides():
    hyp, ref = {"u": ["SIL", "A", "SIL", "B"]}, {"u": ["A", "SIL", "SIL", "B"]}
    assert total(utterance_errors(hyp, ref).values()).edits == 2
    assert utterance_errors(hyp, ref, drop=["SIL"]) == {"u": Errors(0, 0, 0, 2)}


def test_speakers_pool_their_utterances():
    errors = {"b-1": Errors(1, 0, 0, 4), "a-1": Errors(0, 1, 0, 5), "b-2": Errors(0, 0, 2, 6)}
    pooled = speaker_errors(errors, {"a-1": "a", "b-1": "b", "b-2": "b", "c-1": "c"})
    assert pooled == {"a": Errors(0, 1, 0, 5), "b": Errors(1, 0, 2, 10)}
    assert list(pooled) == ["a", "b"]
    assert total(pooled.values()) == total(errors.values())
    with pytest.raises(InputError, match="a-1"):
        speaker_errors(errors, {"b-1": "b", "b-2": "b"})


@pytest.mark.parametrize(
    ("hyp", "ref", "message"),
    [
        ({"a": ["S"]}, {"a": ["S"], "b": ["T"]}, "no hypothesis for 1 utterances, the first 'b'"),
        ({"a": ["S"], "c": []}, {"a": ["S"]}, "no reference for 1 utterances, the first 'c'"),
        ({}, {}, "no phone to score against"),
        ({"a": ["S"]}, {"a": []}, "no phone to score against"),
    ],
)
def test_sets_that_do_not_match_are_refused(hyp, ref, message):
    with pytest.raises(InputError, match=message):
        utterance_errors(hyp, ref)


def test_references_of_silence_alone_have_no_rate_without_silence():
    with pytest.raises(InputError, match="besides SIL"):
        utterance_errors({"a": ["S"]}, {"a": ["SIL"]}, drop=["SIL"])
