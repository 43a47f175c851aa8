import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.metrics.evaluation import evaluate_codes, evaluate_phones
from vqbn.metrics.per import Errors

SIL = 3


def column(*codes):
    return np.array(codes, dtype=np.int32)[:, None]


def segments(*pairs):
    return np.array(pairs, dtype=np.int64)


def codes_scores(codes, alignments, **changes):
    options = {"silence": [SIL], "codebook_size": 4, "subsampling": 3, "frame_shift": 0.01}
    return evaluate_codes(codes, alignments, **{**options, **changes})


def test_phones_with_and_without_silence_and_by_speaker():
    evaluation = evaluate_phones(
        {"a-1": ["SIL", "T"], "b-1": ["S", "AH"]},
        {"a-1": ["SIL", "T", "SIL"], "b-1": ["S", "IH"]},
        {"a-1": "a", "b-1": "b"},
    )
    assert evaluation.scores == {
        "per": 40.0,
        "per_nosil": pytest.approx(100 / 3),
        "substitutions": 1,
        "deletions": 1,
        "insertions": 0,
        "reference_length": 5,
        "per_sclite": 40.0,
        "substitutions_sclite": 1,
        "deletions_sclite": 1,
        "insertions_sclite": 0,
    }
    assert evaluation.sclite == evaluation.utterances
    assert evaluation.utt2spk == {"a-1": "a", "b-1": "b"}
    assert evaluation.utterances == {"a-1": Errors(0, 1, 0, 3), "b-1": Errors(1, 0, 0, 2)}
    assert evaluation.speakers == {
        "a": {"edits": 1, "reference_length": 3, "edits_nosil": 0, "reference_length_nosil": 1},
        "b": {"edits": 1, "reference_length": 2, "edits_nosil": 1, "reference_length_nosil": 2},
    }
    assert evaluation.usage is None


def test_sclites_rate_is_beside_the_fewest_edits():
    # Three substitutions and a deletion, or, at the same weight of 15, three deletions and two insertions.
    evaluation = evaluate_phones({"u": list("BCCB")}, {"u": list("AAABC")}, {"u": "s"})
    assert evaluation.utterances == {"u": Errors(3, 1, 0, 5)}
    assert evaluation.sclite == {"u": Errors(0, 3, 2, 5)}
    assert (evaluation.scores["per"], evaluation.scores["per_sclite"]) == (80, 100)
    assert evaluation.speakers["s"]["edits"] == 4


def test_references_of_silence_alone_leave_per_nosil_out():
    evaluation = evaluate_phones({"u": ["SIL"]}, {"u": ["SIL", "SIL"]}, {"u": "s"})
    assert evaluation.scores["per"] == 50
    assert "per_nosil" not in evaluation.scores
    assert evaluation.speakers["s"]["reference_length_nosil"] == 0


def test_codes_by_hand():
    # Latents' phones: u1: 1 2 3(SIL), u2: 1 0(gap).
    scores, usage = codes_scores(
        {"u1": column(0, 1, 2), "u2": column(0, 3)},
        {"u1": segments((1, 3), (2, 3), (SIL, 2)), "u2": segments((1, 3), (0, 3))},
    )
    assert usage == [[2, 1, 1, 1]]
    entropy = -(0.4 * np.log2(0.4) + 3 * 0.2 * np.log2(0.2))
    assert scores == {
        "used_codes": 4,
        "codes_seen": 5,
        "codebook_size": 4,
        "perplexity": pytest.approx(2**entropy),
        "bits_per_second": pytest.approx(entropy * 100 / 3),
        # Without SIL and the gap: codes 0 1 0.
        "perplexity_nosil": pytest.approx(2 ** (-(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3)))),
        "phone_purity": 1.0,
        "pnmi": pytest.approx(1.0),
    }


def test_spoken_noise_is_not_silence():
    alignment = {"u": segments((1, 3), (2, 3), (SIL, 3))}
    scores, _ = codes_scores({"u": column(0, 1, 2)}, alignment)
    assert scores["perplexity_nosil"] == pytest.approx(2)
    assert codes_scores({"u": column(0, 1, 2)}, alignment, silence=[])[0]["perplexity_nosil"] == pytest.approx(3)


def test_codes_that_were_not_chosen_count_nowhere():
    scores, usage = codes_scores({"u": column(-1, 1)}, {"u": segments((1, 3), (2, 3))})
    assert usage == [[0, 1, 0, 0]]
    assert scores["codes_seen"] == 1
    assert "pnmi" not in scores  # one phone is left, which has no entropy
    scores, _ = codes_scores({"u": column(-1, -1)}, {"u": segments((1, 3), (2, 3))})
    assert scores == {"used_codes": 0, "codes_seen": 0, "codebook_size": 4}


def test_several_codebooks_are_a_unit_together():
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.int32)
    scores, usage = codes_scores({"u": codes}, {"u": segments((1, 3), (2, 3), (4, 3), (5, 3))}, codebook_size=2)
    assert usage == [[2, 2], [2, 2]]
    assert (scores["perplexity"], scores["used_codes"], scores["codes_seen"]) == (pytest.approx(2), 4, 8)
    assert scores["bits_per_second"] == pytest.approx(200 / 3)
    assert scores["phone_purity"] == 1  # each tuple is one phone, while each index alone is two


def test_codes_of_other_utterances_lengths_are_refused():
    with pytest.raises(InputError, match="'u' has 2 codes, expected 3 for its 7 frames"):
        codes_scores({"u": column(0, 1)}, {"u": segments((1, 7))})


@pytest.mark.parametrize("name", ["SIL", "sil", "<sil>", "pau"])
def test_silence_of_any_name_is_left_out(name):
    references, hypotheses = {"u": [name, "A", name, "B"]}, {"u": ["A", "B", name]}
    silence = [name] if name == "pau" else None
    scores = evaluate_phones(hypotheses, references, silence=silence).scores
    assert scores["per"] > 0
    assert scores["per_nosil"] == 0


def test_several_phones_may_be_silence():
    alignment = {"u": segments((1, 3), (2, 3), (3, 3))}
    scores = codes_scores({"u": column(0, 1, 2)}, alignment, silence=[2, 3])[0]
    assert scores["perplexity_nosil"] == pytest.approx(1)
    evaluation = evaluate_phones({"u": ["a"]}, {"u": ["sp", "a", "pau"]}, silence=["sp", "pau"])
    assert (evaluation.scores["per_nosil"], evaluation.scores["reference_length"]) == (0, 3)
