"""Kaldi's alignments (`ali.*.gz`): from a transition-id per frame to phones with their lengths in frames."""

import gzip
import struct
import zlib
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqbn.errors import InputError
from vqbn.kaldi.symbols import base_phones
from vqbn.kaldi.transition_model import BINARY, INTEGER, TransitionModel, read_model_phones, read_transition_model


class PhoneSegment(NamedTuple):
    """A phone and how many frames it lasts."""

    phone: str
    frames: int


@dataclass(frozen=True)
class Alignments:
    """The alignments of many utterances, one after the other.

    Attributes:
        path: the archive they were read from.
        utterances: the utterance ids, in the archive's order.
        ids: int32 (frames,), the transition-ids of all utterances.
        offsets: int64 (utterances + 1,), where each utterance begins, and the end.
    """

    path: Path
    utterances: list[str]
    ids: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class PhoneRuns:
    """The phones of many utterances, one after the other.

    Attributes:
        phones: int32 (segments,), phone ids.
        frames: int64 (segments,), their lengths.
        offsets: int64 (utterances + 1,), where each utterance's segments begin, and the end.
        broken: bool (utterances,), alignments that are no path from a phone's start to a phone's end.
    """

    phones: np.ndarray
    frames: np.ndarray
    offsets: np.ndarray
    broken: np.ndarray


def read_phone_alignments(
    ali_dir: str | Path,
    wanted: Container[str] | None = None,
    broken: dict[str, str] | None = None,
    phones: str | Path | None = None,
    strip_stress: bool | None = None,
    strip_position: bool | None = None,
) -> dict[str, list[PhoneSegment]]:
    """Read the phones of an alignment directory, word position and stress stripped, silence kept.

    Args:
        ali_dir: the folder with `ali.*.gz`, `final.mdl` and `phones.txt`.
        wanted: the utterances to give; all if None.
        broken: takes the wanted utterances whose alignment is no path through the model, and why; they are left out.
        phones: the phone table, if it isn't `ali_dir/phones.txt`.
        strip_stress, strip_position: as in `base_phones`.

    Returns:
        Utterance → its segments, which cover all of its frames; up to two frames more with a chain model, which
        counts three frames at a time.

    Raises:
        InputError: a file is missing, damaged or of another model; without `broken`, also a single bad alignment.
    """
    ali_dir = Path(ali_dir)
    model = read_transition_model(ali_dir / "final.mdl")
    table_file = ali_dir / "phones.txt" if phones is None else phones
    symbols = read_model_phones(table_file, model)
    bases = base_phones(symbols.values(), table_file, strip_stress, strip_position)
    names = {index: bases[symbol] for index, symbol in symbols.items()}
    factor = subsampling_factor(ali_dir)
    table: dict[str, list[PhoneSegment]] = {}
    for path in alignment_files(ali_dir):
        alignments = read_alignments(path)
        runs = split_phones(alignments, model)
        segment_phones = [names[index] for index in runs.phones.tolist()]
        segments = list(map(PhoneSegment, segment_phones, (factor * runs.frames).tolist()))
        for number, utterance in enumerate(alignments.utterances):
            if wanted is not None and utterance not in wanted:
                continue
            if runs.broken[number]:
                reason = f"the alignment is empty or no path through the phones' states in {model.path}"
                if broken is None:
                    raise InputError(f"{path}: '{utterance}': {reason}")
                broken[utterance] = f"{path}: {reason}"
                continue
            if utterance in table:
                raise InputError(f"{path}: '{utterance}' is aligned twice in {ali_dir}; align the set again")
            table[utterance] = segments[runs.offsets[number] : runs.offsets[number + 1]]
    return table


def subsampling_factor(ali_dir: Path) -> int:
    """How many frames of features one transition-id stands for: 3 in the folders of a chain model, else 1.

    Raises:
        InputError: the folder's `frame_subsampling_factor` is not a whole number from 1 on.
    """
    file = ali_dir / "frame_subsampling_factor"
    if not file.is_file():
        return 1
    text = file.read_text(errors="replace").strip()
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{file}: found '{text[:20]}'; expected a whole number, 3 in most chain recipes")
    return int(text)


def alignment_files(ali_dir: Path) -> list[Path]:
    """Give the `ali.N.gz` of a folder in the order of their jobs.

    Raises:
        InputError: there are none, or fewer than the folder's `num_jobs` says.
    """
    if not ali_dir.is_dir():
        raise InputError(f"{ali_dir}: no such folder; expected an alignment directory of Kaldi")
    files = {int(path.name.split(".")[1]): path for path in ali_dir.glob("ali.*.gz") if path.name[4:-3].isdecimal()}
    if not files:
        raise InputError(
            f"{ali_dir}: has no ali.*.gz; expected an alignment directory of Kaldi, such as tri3b_ali_si284"
        )
    num_jobs = ali_dir / "num_jobs"
    if num_jobs.is_file():
        text = num_jobs.read_text(errors="replace").strip()
        for job in range(1, int(text) + 1 if text.isdecimal() else 0):
            if job not in files:
                raise InputError(f"{ali_dir}: ali.{job}.gz is missing; {num_jobs} says that there are {text}")
    return [files[job] for job in sorted(files)]


def read_alignments(path: str | Path) -> Alignments:
    """Read an archive of int32 vectors, gzipped or not, binary or text.

    Raises:
        InputError: the file is missing, cut short or something else.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        elif path.suffix == ".gz":
            raise InputError(f"{path}: not a gzip file")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged or cut short ({error}); copy it again") from error
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if not content:
        raise InputError(f"{path}: has no alignments in it")
    start = content.find(b" ")
    try:
        utterances, vectors = (
            _parse_binary(content) if content[start + 1 : start + 3] == BINARY else _parse_text(content)
        )
    except (ValueError, OverflowError, struct.error) as error:
        raise InputError(
            f"{path}: not an archive of alignments, or cut short; expected integer vectors as ali.*.gz has them"
        ) from error
    offsets = np.cumsum([0, *map(len, vectors)])
    return Alignments(path, utterances, np.concatenate(vectors), offsets)


def _parse_binary(content: bytes) -> tuple[list[str], list[np.ndarray]]:
    """Cut a binary archive into keys and vectors; raises ValueError or struct.error where it isn't one."""
    utterances, records = [], []
    position = 0
    while position < len(content):
        end = content.index(b" ", position)
        marker, size, count = struct.unpack_from("<2sbi", content, end + 1)
        if marker != BINARY or size != 4 or count < 0:
            raise ValueError("no vector of 4-byte integers")
        vector = np.frombuffer(content, INTEGER, count, end + 8)
        utterances.append(content[position:end].decode("utf-8"))
        records.append(vector)
        position = end + 8 + vector.nbytes
    if any((vector["size"] != 4).any() for vector in records):
        raise ValueError("no vector of 4-byte integers")
    return utterances, [vector["value"].astype(np.int32) for vector in records]


def _parse_text(content: bytes) -> tuple[list[str], list[np.ndarray]]:
    """Cut a text archive into keys and vectors; raises ValueError or OverflowError where it isn't one."""
    utterances, vectors = [], []
    for line in content.decode("utf-8").removesuffix("\n").split("\n"):
        utterance, *words = line.split()
        utterances.append(utterance)
        vectors.append(np.array(words, dtype=np.int32))
    return utterances, vectors


def split_phones(alignments: Alignments, model: TransitionModel) -> PhoneRuns:
    """Cut alignments into phones.

    Kaldi's graphs are usually reordered: a state's self-loops come after the arc that leaves it. A phone then ends at
    its final arc plus the self-loops of the same transition state that follow; cutting at the final arc would be too
    early. Where self-loops come before the arc that leaves, a phone ends at its final arc. Two equal phones in a row
    can be told apart only so. Which of the two it is shows where the state changes, and at the ends of the utterance:
    frames of one state begin with a self-loop only if those come first, and end with one only if they come last. Where
    there is neither, as may be in chain topologies, whose phones have one state, Kaldi's `SplitToPhones` takes
    self-loops as coming first, and so does this.

    Args:
        alignments: transition-ids of some utterances.
        model: the model that they were made with.

    Raises:
        InputError: a transition-id is not one of the model's.
    """
    ids, offsets = alignments.ids, alignments.offsets
    _check_range(alignments, model)
    broken = np.diff(offsets) == 0
    if not len(ids):
        return PhoneRuns(ids, np.zeros(0, np.int64), np.zeros_like(offsets), broken)
    # Empty utterances have no frames, so the others' first frames cut the whole into the others.
    present = np.flatnonzero(~broken)
    first, last = offsets[:-1][present], offsets[1:][present] - 1
    owner = np.repeat(np.arange(len(present)), last - first + 1)

    loops, finals, states = model.self_loops[ids], model.finals[ids], model.states[ids]
    starts = np.zeros(len(ids), dtype=bool)
    starts[first] = True
    begins_state = starts | np.append(True, states[1:] != states[:-1])
    ends_state = np.append(begins_state[1:], True)
    loops_first = (
        np.logical_or.reduceat(begins_state & loops, first) | ~np.logical_or.reduceat(ends_state & loops, first)
    )[owner]

    # The arc that the current state was or will be left by: the last one that is no self-loop, if it comes first.
    arcs = np.maximum.accumulate(np.where(loops, 0, np.arange(len(ids))))
    next_is_loop = np.append(loops[1:] & ~starts[1:], False)
    ends = np.where(loops_first, finals, finals[arcs] & ~next_is_loop)
    off = _off_path(model, ids, arcs, starts, loops_first)
    off[last] |= ~ends[last]
    broken[present] = np.logical_or.reduceat(off, first)

    # A broken utterance still ends at its last frame, so that it stays apart from its neighbour.
    ends[last] = True
    stops = np.flatnonzero(ends)
    begins = np.append(0, stops[:-1] + 1)
    return PhoneRuns(
        phones=model.phones[ids[begins]],
        frames=stops - begins + 1,
        offsets=np.searchsorted(begins, offsets),
        broken=broken,
    )


def _check_range(alignments: Alignments, model: TransitionModel) -> None:
    """Refuse transition-ids that the model doesn't have."""
    wrong = np.flatnonzero((alignments.ids < 1) | (alignments.ids > len(model)))
    if len(wrong):
        utterance = alignments.utterances[int(np.searchsorted(alignments.offsets, wrong[0], side="right")) - 1]
        raise InputError(
            f"{alignments.path}: '{utterance}' has transition-id {alignments.ids[wrong[0]]}, but {model.path} has 1 to "
            f"{len(model)}: the alignments were made with another model"
        )


def _off_path(
    model: TransitionModel, ids: np.ndarray, arcs: np.ndarray, starts: np.ndarray, loops_first: np.ndarray
) -> np.ndarray:
    """Find the frames that can't follow the frame before them.

    Args:
        model: the model of the alignments.
        ids: (frames,), the transition-ids.
        arcs: (frames,), the last frame up to each one that is no self-loop.
        starts: (frames,), whether an utterance begins here.
        loops_first: (frames,), whether the utterance's self-loops come before the arc that leaves their state.

    Returns:
        bool (frames,).
    """
    loops, finals, states = model.self_loops[ids], model.finals[ids], model.states[ids]
    phones, hmm_states, destinations = model.phones[ids], model.hmm_states[ids], model.destinations[ids]
    before = np.arange(len(ids)) - 1
    before[0] = 0
    stays = np.where(loops_first, loops[before], loops)
    arc = np.where(loops_first, before, arcs[before])
    new_phone = finals[arc]
    expected = np.where(new_phone, 0, destinations[arc])
    follows = (hmm_states == expected) & (new_phone | (phones == phones[arc]))
    good = np.where(stays, states == states[before], follows)
    return np.where(starts, hmm_states != 0, ~good)
