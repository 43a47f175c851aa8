"""The join: frames and phones that fit are kept to the frame, the others are named."""

from itertools import pairwise

import numpy as np
import pytest

from vqbn.defects import Defects
from vqbn.kaldi.ctm import Segment
from vqbn.kaldi.join import Run, encode, fit, join, summarise, to_frames


def seconds(*runs):
    """Segments without gaps from (phone, frames) pairs."""
    starts = np.cumsum([0, *(frames for _, frames in runs)])
    return [Segment(phone, 0.01 * start, 0.01 * frames) for (phone, frames), start in zip(runs, starts, strict=False)]


@pytest.fixture
def left_out():
    """Where defects and unaligned utterances go."""
    return Defects("utterances"), Defects("utterances")


def test_times_that_are_whole_frames_are_exact():
    rng = np.random.default_rng(0)
    runs = [("AH", int(frames)) for frames in rng.integers(1, 90, size=2000)]
    assert to_frames(seconds(*runs)) == runs


def test_stretches_between_segments_become_gaps():
    segments = [Segment("A", 0.1, 0.2), Segment("B", 0.3, 0.1), Segment("<eps>", 0.4, 0.1), Segment("C", 0.6, 0.1)]
    assert to_frames([*segments, Segment("<eps>", 0.7, 0.05)]) == [
        (None, 10),
        ("A", 20),
        ("B", 10),
        (None, 20),
        ("C", 10),
        (None, 5),
    ]


def test_every_phone_keeps_a_frame():
    segments = [Segment("A", 0.0, 0.104), Segment("B", 0.104, 0.002), Segment("C", 0.106, 0.2)]
    assert to_frames(segments) == [("A", 10), ("B", 1), ("C", 20)]


@pytest.mark.parametrize("decimals", [2, 3, 4, 9])
def test_rounded_times_leave_no_gaps_and_end_near_the_last_window(decimals):
    rng = np.random.default_rng(decimals)
    for samples in rng.integers(16000, 32000, size=200):
        borders = np.sort(rng.uniform(0, samples / 16000, size=4))
        times = np.round(np.concatenate([[0], borders, [samples / 16000]]), decimals)
        segments = [Segment("A", start, end - start) for start, end in pairwise(times)]
        runs = to_frames(segments)
        assert [run.phone for run in runs] == ["A"] * 5
        if np.diff(times).min() > 0.02:  # else short phones, kept one frame long, may push the end
            frames = 1 + (samples - 400) // 160
            assert abs(sum(run.frames for run in runs) - frames) <= 2


@pytest.mark.parametrize(("frames", "fitted"), [(8, [3, 5]), (7, [3, 4]), (10, [3, 7]), (3, [3]), (0, [])])
def test_fit_cuts_or_stretches_the_end(frames, fitted):
    assert [run.frames for run in fit([Run("A", 3), Run("B", 5)], frames)] == fitted


@pytest.mark.parametrize("frames", range(95, 106))
def test_two_frames_of_difference_are_tolerated(frames, left_out):
    joined = join({"u": frames}, {"u": seconds(("A", 40), ("B", 60))}, *left_out)
    if abs(frames - 100) <= 2:
        assert joined == {"u": [("A", 40), ("B", frames - 40)]}
        assert not left_out[0].reasons
    else:
        assert joined == {}
        assert left_out[0].reasons == {"u": f"{frames} frames of features, but the alignment has 100"}


def test_missing_alignments_and_unknown_phones_are_told_apart(left_out):
    alignments = {"a": seconds(("A", 5)), "b": seconds(("B", 5), ("Q", 5), ("X", 5)), "other": seconds(("Z", 1))}
    alignments["d"] = [Segment("<eps>", 0.0, 0.05)]
    joined = join({"a": 5, "b": 15, "c": 5, "d": 5}, alignments, *left_out, known={"A", "B"})
    assert joined == {"a": [("A", 5)]}
    defects, unaligned = left_out
    assert unaligned.reasons == {"c": "no alignment"}
    assert defects.reasons["b"].startswith("unknown phones: Q X: ")
    assert defects.reasons["d"] == "no phones in the alignment"


def test_encoding_is_token_and_length_and_gaps_are_zero():
    vector = encode([Run(None, 2), Run("B", 3), Run("B", 4), Run("A", 1)], {"A": 1, "B": 2})
    assert vector.dtype == np.int32
    np.testing.assert_array_equal(vector, [0, 2, 2, 3, 2, 4, 1, 1])


def test_summary_counts_by_phone():
    summary = summarise({"a": [Run("SIL", 50), Run("A", 3)], "b": [Run("A", 5), Run(None, 2)]})
    assert summary["utterances"] == 2
    assert (summary["frames"], summary["gap_frames"], summary["phones"]) == (60, 2, 3)
    assert summary["mean_frames"] == pytest.approx(58 / 3, abs=0.01)
    assert summary["shortest_share"] == pytest.approx(1 / 3, abs=1e-3)
    assert summary["largest_share"] == {"phone": "SIL", "share": pytest.approx(50 / 60, abs=1e-3)}
    assert summary["by_phone"]["A"] == {"count": 2, "frames": 8, "mean_frames": 4.0, "shortest": 3, "longest": 5}
    assert summarise({})["largest_share"] is None


def test_utterances_that_one_phone_fills_are_named():
    joined = {
        "good": [Run("SIL", 60), Run("AH", 20), Run("T", 20)],
        "bad": [Run("SIL", 10), Run("AH", 50), Run("T", 40)],
        "split": [Run("AH", 30), Run("AH", 30), Run("T", 40)],
        "gap": [Run(None, 60), Run("T", 40)],
    }
    assert summarise(joined)["dominated"] == ["bad"]
