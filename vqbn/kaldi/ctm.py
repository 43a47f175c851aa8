"""CTM files: which symbol is spoken when, one line per segment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.text_files import read_lines

# Times in a CTM are rounded to a centisecond or a millisecond, so neighbours may seem to overlap by as much.
ROUNDING = 0.011


class Segment(NamedTuple):
    """One segment of an utterance: a phone, its start and its duration in seconds."""

    phone: str
    start: float
    duration: float


def read_ctm(path: str | Path) -> dict[str, list[Segment]]:
    """Read lines `utterance channel start duration symbol [confidence]`; the channel and confidence are ignored.

    Blank lines and comments, which begin with `;;`, are skipped.

    Returns:
        Utterance → its segments in time order, utterances in the file's order.

    Raises:
        InputError: the file is missing or empty, or a line is malformed or out of time order within its utterance.
    """
    path = Path(path)
    table: dict[str, list[Segment]] = {}
    for number, line in read_lines(path, "expected a CTM with the phones' times"):
        columns = line.split()
        if columns[0].startswith(";;"):
            continue
        try:
            utterance, _, start, duration, phone = columns[:5]
            segment = Segment(phone, float(start), float(duration))
        except ValueError:
            raise InputError(
                f"{path}:{number}: found '{line.strip()[:80]}'; expected 'utterance channel start duration phone'"
            ) from None
        if not (0 <= segment.start < float("inf") and 0 <= segment.duration < float("inf")):
            raise InputError(f"{path}:{number}: start {start} and duration {duration}; expected 0 or more seconds")
        segments = table.setdefault(utterance, [])
        if segments and segment.start + ROUNDING < segments[-1].start + segments[-1].duration:
            raise InputError(
                f"{path}:{number}: '{phone}' of '{utterance}' starts at {start}, before the previous one ends; "
                "expected segments in time order that don't overlap"
            )
        segments.append(segment)
    if not table:
        raise InputError(f"{path}: no segments in it; expected lines 'utterance channel start duration phone'")
    return table


def write_ctm(path: str | Path, segments: Mapping[str, Sequence[Segment]], decimals: int = 2) -> None:
    """Write a CTM, utterances sorted, whole or not at all.

    Args:
        path: the file.
        segments: utterance → its segments in time order.
        decimals: digits after the point of a second; 2 is exact for frames of 10 ms.
    """
    lines = [
        f"{utterance} 1 {segment.start:.{decimals}f} {segment.duration:.{decimals}f} {segment.phone}\n"
        for utterance in sorted(segments)
        for segment in segments[utterance]
    ]
    write_text(path, "".join(lines))
