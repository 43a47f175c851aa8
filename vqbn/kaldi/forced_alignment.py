"""Phone alignments without Kaldi: transcripts and a lexicon, aligned by pocketsphinx and the model in its wheel.

The alignments are coarser than those of a triphone model trained on the corpus itself, but anyone can make them.
"""

import contextlib
import functools
import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.jobs import map_jobs
from vqbn.kaldi.audio import Conversion, log_conversions, read_converted
from vqbn.kaldi.ctm import Segment, read_ctm, write_ctm
from vqbn.kaldi.datadir import DataDir, Utterance, read_data_dir
from vqbn.kaldi.pronunciations import Pronunciations, pronounce
from vqbn.kaldi.source import Source
from vqbn.kaldi.symbols import base_phone
from vqbn.text_files import read_lines

logger = logging.getLogger(__name__)

FRAME_SHIFT = 0.01
PHONES = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
MODEL_PHONES = frozenset(PHONES.split())
VARIANT = re.compile(r"\(\d+\)$")  # CMU's mark of a word's further pronunciations
FILLERS = {"SIL": "SIL", "SPN": "+SPN+", "NSN": "+NSN+"}
# The best-path search through a word lattice fails on every fourth utterance, and alignment does not need it.
# Each row is tried where the one before found no path: the default beams, and beams that prune nothing.
BEAMS = (
    {"beam": 1e-48, "pbeam": 1e-48, "wbeam": 7e-29},
    {"beam": 1e-300, "pbeam": 1e-300, "wbeam": 1e-300, "maxhmmpf": -1},
)


def read_lexicon(path: str | Path) -> dict[str, list[tuple[str, ...]]]:
    """Read a pronunciation lexicon, Kaldi's `WORD PHONE PHONE` or CMU's `word(2) PHONE PHONE`.

    Returns:
        Word in lower case -> its pronunciations in the file's order, each once, without stress and word position.

    Raises:
        InputError: the file can't be read or has no words, or a line has no phones or one that is unknown.
    """
    path = Path(path)
    strip = functools.cache(base_phone)
    lexicon: dict[str, list[tuple[str, ...]]] = {}
    for number, line in read_lines(path, "expected a lexicon: WORD PHONE PHONE ..."):
        word, *phones = line.split()
        if word.startswith((";;;", "##")):
            continue
        pronunciation = tuple(map(strip, phones))
        unknown = [phone for phone in pronunciation if phone not in MODEL_PHONES and phone not in FILLERS]
        if unknown or not phones:
            found = f"the phone '{unknown[0]}'" if unknown else "no phones"
            raise InputError(f"{path}:{number}: '{word}' has {found}; expected CMU phones such as AH0 or ZH")
        entry = lexicon.setdefault(VARIANT.sub("", word).lower(), [])
        if pronunciation not in entry:
            entry.append(pronunciation)
    if not lexicon:
        raise InputError(f"{path}: no words in it; expected lines WORD PHONE PHONE ...")
    return lexicon


class Task(NamedTuple):
    """One utterance to align: its audio, and its words as keys of the dictionary file."""

    audio: Source
    words: tuple[str, ...]


class Outcome(NamedTuple):
    """Segments, or what was wrong and whether the audio rather than the alignment was to blame; how it was read."""

    segments: list[Segment]
    problem: str = ""
    broken: bool = False
    conversion: Conversion = Conversion()


def align_data_dir(
    path: str | Path,
    lexicon: str | Path | None = None,
    nj: int = 1,
    max_unaligned: float = 0.15,
    max_bad: float = 0.05,
    audio_root: str | Path | None = None,
    channel: int | None = None,
) -> dict[str, list[Segment]]:
    """Align every utterance of a data directory, and write its `phones.ctm`.

    Words that the lexicon lacks are made from others, where they can be (`vqbn.kaldi.pronunciations`). An utterance
    with other such words, or for which no path is found, is named, counted and left out. A `phones.ctm` that is there
    already is kept as it is.

    Args:
        path: the data directory.
        lexicon: the pronunciations; the CMU dictionary in pocketsphinx's wheel if None.
        nj: processes.
        max_unaligned: the share of utterances that may go without an alignment, 0 to 1.
        max_bad: the share of utterances whose audio or transcript may be unusable, 0 to 1.
        audio_root: the folder that relative paths in `wav.scp` start from.
        channel: as in `read_data_dir`.

    Returns:
        Utterance -> segments in seconds, multiples of 10 ms, without gaps, with base CMU phones and SIL.

    Raises:
        InputError: the data directory or the lexicon is defective, too much is left out, or pocketsphinx is missing.
    """
    data = read_data_dir(path, audio_root, channel)
    target = data.path / "phones.ctm"
    if target.exists():
        return _keep(target, data)
    cmu_dictionary = _model_path("en-us/cmudict-en-us.dict")
    pronunciations = _pronounce_all(data, read_lexicon(lexicon or cmu_dictionary))
    bad = Defects("utterances", max_bad)
    unaligned = Defects("utterances", max_unaligned, "--max_unaligned")
    speakable = _check_words(data.utterances.values(), pronunciations, bad, unaligned)
    vocabulary = {word for utterance in speakable for word in utterance.text.lower().split()}
    # numbered words: what is in a transcript may mean something to pocketsphinx, such as a bracket
    names = {word: f"w{number}" for number, word in enumerate(sorted(vocabulary))}
    tasks = [
        Task(utterance.audio, tuple(names[word] for word in utterance.text.lower().split())) for utterance in speakable
    ]
    table = {}
    with tempfile.TemporaryDirectory(prefix="vqbn-") as folder:
        dictionary = Path(folder, "words.dict")
        write_text(dictionary, _dictionary(names, pronunciations))
        outcomes = list(map_jobs(functools.partial(align, str(dictionary)), tasks, nj, f"aligning {data.path}"))
        for utterance, outcome in zip(speakable, outcomes, strict=True):
            if outcome.problem:
                (bad if outcome.broken else unaligned).add(utterance.id, outcome.problem)
            else:
                table[utterance.id] = outcome.segments
    log_conversions(outcome.conversion for outcome in outcomes)
    bad.check(len(data.utterances), str(data.path))
    unaligned.check(len(data.utterances), str(data.path))
    write_ctm(target, table)
    logger.info("%s: aligned %d of %d utterances", target, len(table), len(data.utterances))
    return table


def _keep(target: Path, data: DataDir) -> dict[str, list[Segment]]:
    """Take over the alignments of an earlier run, if they are this data's."""
    table = read_ctm(target)
    if strangers := [utterance for utterance in table if utterance not in data.utterances]:
        raise InputError(
            f"{target}: has the utterance '{strangers[0]}', which {data.path / 'wav.scp'} doesn't have: "
            "remove the file to align again"
        )
    logger.info("%s: is there already, %d utterances; remove it to align again", target, len(table))
    return table


def _pronounce_all(data: DataDir, lexicon: Mapping[str, Pronunciations]) -> dict[str, Pronunciations]:
    """Each word of the transcripts that can be spoken, in lower case; says which ones the lexicon lacks."""
    words = {word for utterance in data.utterances.values() for word in utterance.text.lower().split()}
    table = {word: found for word in words if (found := pronounce(word, lexicon))}
    if made := sorted(table.keys() - lexicon.keys()):
        first = " ".join(made[:10])
        logger.info("%s: %d words made from others that the lexicon has: %s", data.path / "text", len(made), first)
    return table


def _check_words(utterances, pronunciations: Mapping, bad: Defects, unaligned: Defects) -> list[Utterance]:
    """Leave out the utterances with nothing to align, or with words that can't be spoken."""
    speakable = []
    for utterance in utterances:
        words = utterance.text.lower().split()
        missing = [word for word in words if word not in pronunciations]
        if not words:
            bad.add(utterance.id, "the transcript is empty")
        elif missing:
            unaligned.add(utterance.id, f"not in the lexicon: {', '.join(dict.fromkeys(missing))}")
        else:
            speakable.append(utterance)
    return speakable


def _dictionary(names: Mapping[str, str], pronunciations: Mapping[str, Pronunciations]) -> str:
    """The pronunciations of the named words as pocketsphinx reads them."""
    lines = []
    for word, name in names.items():
        for number, phones in enumerate(pronunciations[word], 1):
            variant = name if number == 1 else f"{name}({number})"
            lines.append(f"{variant} {' '.join(FILLERS.get(phone, phone) for phone in phones)}\n")
    return "".join(lines)


def align(dictionary: str, task: Task) -> Outcome:
    """Align one utterance, with wider beams where the first find no path.

    Args:
        dictionary: a dictionary file of pocketsphinx with the task's words.
        task: what to align.

    Returns:
        The segments, from 0 to the last frame; or what was wrong.
    """
    try:
        samples, conversion = read_converted(task.audio)
    except InputError as error:
        return Outcome([], str(error), broken=True)
    audio = np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
    for number in range(len(BEAMS)):
        decoder = _decoder(dictionary, number)
        # pocketsphinx gives every failure as a RuntimeError, "no path" included
        with contextlib.suppress(RuntimeError):
            decoder.set_align_text(" ".join(task.words))
            _decode(decoder, audio)
            if decoder.hyp() is None:
                continue
            decoder.set_alignment()
            _decode(decoder, audio)
            if segments := _segments(decoder.get_alignment()):
                return Outcome(segments, conversion=conversion)
    seconds = len(samples) / 16000
    problem = f"no alignment found for its {len(task.words)} words in {seconds:.1f} s, even with wide beams"
    return Outcome([], problem, conversion=conversion)


def _decode(decoder, audio: bytes) -> None:
    """Run the decoder's present search over a whole recording."""
    decoder.start_utt()
    try:
        decoder.process_raw(audio, full_utt=True)
    finally:
        decoder.end_utt()


def _segments(words) -> list[Segment]:
    """Phones of pocketsphinx's alignment in seconds; successive silences are one; none if it has gaps."""
    base_names = {name: phone for phone, name in FILLERS.items()}
    segments: list[tuple[str, int, int]] = []
    for word in words or ():
        for entry in word:
            phone = base_names.get(entry.name, entry.name)
            if entry.duration < 1 or entry.start != (segments[-1][2] if segments else 0):
                return []
            if phone == "SIL" and segments and segments[-1][0] == "SIL":
                segments[-1] = ("SIL", segments[-1][1], entry.start + entry.duration)
            else:
                segments.append((phone, entry.start, entry.start + entry.duration))
    return [Segment(phone, start * FRAME_SHIFT, (end - start) * FRAME_SHIFT) for phone, start, end in segments]


@functools.lru_cache(maxsize=len(BEAMS))
def _decoder(dictionary: str, beams: int):
    """A decoder that aligns with the words of `dictionary`; each process keeps its own."""
    from pocketsphinx import Decoder

    return Decoder(lm=None, dict=dictionary, bestpath=False, loglevel="FATAL", **BEAMS[beams])


def _model_path(name: str) -> Path:
    """A file of pocketsphinx's wheel."""
    try:
        from pocketsphinx import get_model_path
    except ImportError as error:
        raise InputError(
            "aligning needs pocketsphinx, which is not installed: run tools/setup.sh or pip install 'vqbn[align]'"
        ) from error
    return Path(get_model_path(name))
