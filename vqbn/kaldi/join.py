"""Frames and alignments brought together: what fits is kept, what doesn't is named, and both are counted."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vqbn.defects import Defects
from vqbn.kaldi.ctm import Segment
from vqbn.kaldi.features import FRAME_SHIFT

TOLERANCE = 2  # frames
SHORT = 3  # frames
# What may fill half an utterance in a good alignment: silence and noises.
NO_SPEECH = ("SIL", "SPN", "NSN")
# What some programs write where there is no phone; it is no token.
NO_PHONE = ("<eps>", "<blank>")


class Run(NamedTuple):
    """A phone, or None for a stretch that no phone covers, and its length in frames."""

    phone: str | None
    frames: int


def to_frames(segments: Sequence[Segment], frame_shift: float = FRAME_SHIFT) -> list[Run]:
    """Round times in seconds to frames.

    Each segment keeps at least one frame, so that none is lost. Stretches between segments become gaps, unless they are
    shorter than half a frame, which rounded times can feign.

    Args:
        segments: an utterance's segments in time order.
        frame_shift: seconds per frame.

    Returns:
        Runs from frame 0 to the end of the last segment.
    """
    runs: list[Run] = []
    position = end = 0
    seconds = 0.0
    for segment in segments:
        apart = segment.start - seconds > frame_shift / 2
        start = max(end, _nearest(segment.start / frame_shift)) if apart else end
        seconds = segment.start + segment.duration
        end = max(start + 1, _nearest(seconds / frame_shift))
        if segment.phone in NO_PHONE:
            continue
        if start > position:
            runs.append(Run(None, start - position))
        runs.append(Run(segment.phone, end - start))
        position = end
    if end > position:
        runs.append(Run(None, end - position))
    return runs


def _nearest(frames: float) -> int:
    """Round to whole frames; half a frame, or what was half a frame before it was rounded to milliseconds, goes down.

    An utterance's end in seconds is up to two frames behind its last whole window: rounding it up would make it three.
    """
    return math.ceil(frames - 0.55)


def fit(runs: Sequence[Run], frames: int) -> list[Run]:
    """Cut runs at `frames`, or stretch the last one to it."""
    fitted: list[Run] = []
    left = frames
    for run in runs:
        if left == 0:
            break
        fitted.append(Run(run.phone, min(run.frames, left)))
        left -= fitted[-1].frames
    if left and fitted:
        fitted[-1] = Run(fitted[-1].phone, fitted[-1].frames + left)
    return fitted


def join(
    frames: Mapping[str, int],
    alignments: Mapping[str, Sequence[Segment]],
    defects: Defects,
    unaligned: Defects,
    known: Collection[str] | None = None,
) -> dict[str, list[Run]]:
    """Give each utterance its phones, in frames that add up to the features'.

    Args:
        frames: utterance → number of feature frames.
        alignments: utterance → its segments in seconds; those of other utterances are ignored.
        defects: takes utterances whose frames differ by more than 2 from their alignment's, or with unknown phones.
        unaligned: takes utterances without an alignment.
        known: the phones that are allowed; any if None.

    Returns:
        Utterance → runs whose lengths sum to its frames; utterances in the order of `frames`.
    """
    joined: dict[str, list[Run]] = {}
    for utterance, count in frames.items():
        segments = alignments.get(utterance)
        if not segments:
            unaligned.add(utterance, "no alignment")
            continue
        runs = to_frames(segments)
        aligned = sum(run.frames for run in runs)
        if abs(aligned - count) > TOLERANCE:
            defects.add(utterance, f"{count} frames of features, but the alignment has {aligned}")
            continue
        if all(run.phone is None for run in runs):
            defects.add(utterance, "no phones in the alignment")
            continue
        unknown = sorted({run.phone for run in runs if run.phone is not None} - set(known)) if known is not None else []
        if unknown:
            defects.add(utterance, f"unknown phones: {' '.join(unknown)}: the training set doesn't have them")
            continue
        joined[utterance] = fit(runs, count)
    return joined


def encode(runs: Sequence[Run], tokens: Mapping[str, int]) -> np.ndarray:
    """Write runs as an int32 vector: token, length, token, length, ...; a gap is token 0."""
    pairs = [(0 if run.phone is None else tokens[run.phone], run.frames) for run in runs]
    return np.array(pairs, dtype=np.int32).reshape(-1)


def summarise(joined: Mapping[str, Sequence[Run]], silence: Collection[str] = ()) -> dict:
    """Count what was joined, so that a bad alignment shows: in too long or too short phones, or too much of one.

    Args:
        joined: utterance → its phones in frames.
        silence: the phones that are silence, besides those by which Kaldi's recipes call silence and noise.

    Returns:
        A JSON object: "utterances", "frames", "hours", "phones" (tokens), "gap_frames", "mean_frames" (of a phone),
        "shortest_share" (how many of the phones have at most 3 frames, the least that Kaldi's three-state phones can
        have), "dominated" (utterances of which one phone, other than silence and noise, covers at least half at one go:
        next to none in a good alignment), "largest_share" (the phone with the most frames, and its share of all), and
        "by_phone": phone → "count", "frames", "mean_frames", "shortest" and "longest" (frames).
    """
    lengths: dict[str, list[int]] = {}
    gaps = Counter()
    dominated = []
    no_speech = {*NO_SPEECH, *silence}
    for utterance, runs in joined.items():
        spoken = [frames for phone, frames in runs if phone is not None and phone not in no_speech]
        if 2 * max(spoken, default=0) >= sum(frames for _, frames in runs):
            dominated.append(utterance)
        for phone, frames in runs:
            if phone is None:
                gaps["frames"] += frames
            else:
                lengths.setdefault(phone, []).append(frames)
    by_phone = {
        phone: {
            "count": len(values),
            "frames": sum(values),
            "mean_frames": round(sum(values) / len(values), 2),
            "shortest": min(values),
            "longest": max(values),
        }
        for phone, values in sorted(lengths.items())
    }
    covered = sum(row["frames"] for row in by_phone.values())
    phones = sum(row["count"] for row in by_phone.values())
    short = sum(frames <= SHORT for values in lengths.values() for frames in values)
    total = covered + gaps["frames"]
    largest = max(by_phone, key=lambda phone: by_phone[phone]["frames"], default=None)
    return {
        "utterances": len(joined),
        "frames": total,
        "hours": round(total * FRAME_SHIFT / 3600, 4),
        "phones": phones,
        "gap_frames": gaps["frames"],
        "mean_frames": round(covered / phones, 2) if phones else None,
        "shortest_share": round(short / phones, 4) if phones else None,
        "dominated": dominated,
        "largest_share": {"phone": largest, "share": round(by_phone[largest]["frames"] / total, 4)}
        if largest
        else None,
        "by_phone": by_phone,
    }
