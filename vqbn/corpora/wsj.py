"""The Wall Street Journal corpus (WSJ0: LDC93S6, WSJ1: LDC94S13) as Kaldi data directories, as Kaldi's recipe has them.

Which utterances are in a set is what the index files on the discs say. Audio is not copied: `wav.scp` names the `.wv1`
files on the discs (the Sennheiser microphone; SPHERE files).
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vqbn.corpora.corpus import write_data_dir
from vqbn.corpora.wsj_discs import Discs, open_discs
from vqbn.corpora.wsj_transcripts import Transcripts
from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.kaldi.datadir import Utterance

logger = logging.getLogger(__name__)

ENTRY = re.compile(r"(?P<disc>[0-9_]+):\s*/*(?P<path>\S+)")
# In the index of WSJ0's training data, and left out of it by Kaldi's recipe, whose sets these are.
LEFT_OUT = "wsj0/si_tr_s/401/"
SPEAKER_LETTERS = 3


@dataclass(frozen=True)
class Set:
    """A set of the corpus.

    Attributes:
        indices: disc and path of each index file.
        utterances: how many utterances the set has on whole discs.
    """

    indices: tuple[tuple[str, str], ...]
    utterances: int


SI_84 = ("11_13_1", "wsj0/doc/indices/train/tr_s_wv1.ndx")
SETS = {
    "train_si84": Set((SI_84,), 7138),
    "train_si284": Set((("13_34_1", "wsj1/doc/indices/si_tr_s.ndx"), SI_84), 37416),
    "test_dev93": Set((("13_34_1", "wsj1/doc/indices/h1_p0.ndx"),), 503),
    "test_eval92": Set((("11_13_1", "wsj0/doc/indices/test/nvp/si_et_20.ndx"),), 333),
    "test_eval93": Set((("13_32_1", "wsj1/doc/indices/wsj1/eval/h1_p0.ndx"),), 213),
}


def prepare(
    wsj0: str | Path,
    wsj1: str | Path | None,
    out: str | Path,
    sets: Sequence[str] = tuple(SETS),
    spkrinfo: str | Path | None = None,
    max_bad: float = 0.05,
) -> dict[str, int]:
    """Write a data directory for each set.

    An utterance without audio or transcript, or with two of them, is left out. A set with another number of utterances
    than on whole discs is reported: discs are scratched, copies are partial, and `max_bad` says how much is too much.

    Args:
        wsj0: the folder with WSJ0's discs, in either layout.
        wsj1: the folder with WSJ1's; None if no set needs them.
        out: where the data directories go.
        sets: which of `SETS`.
        spkrinfo: a further list of speakers: those of WSJ0's training data are not on the discs
            (`wsj0-train-spkrinfo.txt`, from the LDC's web pages).
        max_bad: the share of a set's utterances that may be left out, 0 to 1.

    Returns:
        Set → number of utterances.

    Raises:
        InputError: a folder holds no discs or the wrong ones, an index is missing or malformed, or too much is left
            out.
    """
    discs = open_discs(wsj0, wsj1)
    indices = {name: _read_indices(name, discs) for name in sets}
    documents = list(discs.documents())
    transcripts = Transcripts(file for file in documents if file.suffix.lower() == ".dot")
    tables = [file for file in documents if file.suffix.lower() != ".dot"]
    genders = read_genders([*tables, *([Path(spkrinfo)] if spkrinfo else [])])
    prepared = {}
    for name, listed in indices.items():
        defects = Defects("utterances", max_bad)
        prepared[name] = _collect(listed, discs, transcripts, defects)
        defects.check(len(listed), f"{name} ({', '.join(path for _, path in SETS[name].indices)})")
    for name, utterances in prepared.items():
        _write(Path(out) / name, utterances, genders)
        _report(name, utterances)
    return {name: len(utterances) for name, utterances in prepared.items()}


def _read_indices(name: str, discs: Discs) -> dict[str, list[tuple[str, str]]]:
    """Utterance id → its places as (disc, path), several if the indices give it several."""
    if name not in SETS:
        raise InputError(f"--sets: there is no '{name}'; the sets are {', '.join(SETS)}")
    listed: dict[str, list[tuple[str, str]]] = {}
    again = 0
    for disc, path in SETS[name].indices:
        file = discs.find(path, disc)
        if file is None:
            places = ", ".join(map(str, discs.roots.values()))
            raise InputError(f"{places}: no disc has {path}, the index of {name}; it is on disc {_disc_name(disc)}")
        for number, line in enumerate(file.read_text(encoding="latin-1").splitlines(), 1):
            line = line.strip()
            if not line or line.startswith(";"):
                continue
            match = ENTRY.fullmatch(line)
            if not match:
                raise InputError(f"{file}:{number}: found '{line[:80]}'; expected 'disc:path', such as 11_1_1:wsj0/...")
            place = match["disc"], match["path"].replace("\\", "/").lower()
            if place[1].startswith(LEFT_OUT):
                continue
            # The indices of WSJ0's test sets leave the suffix away.
            place = place if place[1].endswith(".wv1") else (place[0], place[1] + ".wv1")
            utterance = place[1].rsplit("/", 1)[-1].removesuffix(".wv1")
            if not re.fullmatch(r"\w{8}", utterance):
                raise InputError(f"{file}:{number}: '{utterance}' is no utterance of WSJ: their ids have 8 characters")
            places = listed.setdefault(utterance, [])
            if place[1] in (path for _, path in places):
                again += 1
            else:
                places.append(place)
    if again:
        logger.warning("%s: %d lines of its indices name a file that an earlier line names too", name, again)
    if not listed:
        raise InputError(f"{name}: its index {SETS[name].indices[0][1]} lists no utterances; copy the disc again")
    return listed


def _disc_name(disc: str) -> str:
    """`13_34_1` as it is printed on the disc: `13-34.1`."""
    box, number, side = disc.split("_")
    return f"{box}-{number}.{side}"


def _collect(
    listed: Mapping[str, list[tuple[str, str]]], discs: Discs, transcripts: Transcripts, defects: Defects
) -> list[Utterance]:
    """The utterances of a set that have audio and a transcript, sorted."""
    utterances = []
    for utterance in sorted(listed):
        places = listed[utterance]
        if len(places) > 1:
            defects.add(utterance, f"the indices give it twice: {' and '.join(path for _, path in places)}")
            continue
        disc, path = places[0]
        audio = discs.find(path, disc)
        if audio is None:
            defects.add(utterance, f"no disc has {path}; the index puts it on {_disc_name(disc)}")
            continue
        try:
            text = transcripts.find(utterance)
        except InputError as error:
            defects.add(utterance, str(error))
            continue
        if not text:
            defects.add(utterance, "its transcript has no word")
            continue
        utterances.append(Utterance(utterance, audio, text, utterance[:SPEAKER_LETTERS]))
    return utterances


def read_genders(files: Sequence[Path]) -> dict[str, str]:
    """Speaker → m or f, from lists of speakers (`spkrinfo.txt`): speaker and gender in the first two columns.

    Raises:
        InputError: a file can't be read.
    """
    genders: dict[str, str] = {}
    for file in files:
        try:
            lines = file.read_text(encoding="latin-1").lower().splitlines()
        except OSError as error:
            raise InputError(f"{file}: can't be read: {error.strerror}; expected a list of speakers") from error
        for line in lines:
            columns = line.split()
            if line.startswith(";") or len(columns) < 2 or len(columns[0]) != SPEAKER_LETTERS:
                continue
            if columns[1] in ("m", "f"):
                genders.setdefault(columns[0], columns[1])
    return genders


def _write(folder: Path, utterances: list[Utterance], genders: Mapping[str, str]) -> None:
    """Write a data directory; with genders only if all speakers have one, as Kaldi's validator wants it."""
    speakers = {utterance.speaker for utterance in utterances}
    unknown = sorted(speakers - genders.keys())
    if unknown:
        logger.warning(
            "%s: no spk2gender: the discs don't say what %d of %d speakers are, the first is %s; nothing here needs "
            "it, and the LDC's wsj0-train-spkrinfo.txt has them (--spkrinfo)",
            folder,
            len(unknown),
            len(speakers),
            unknown[0],
        )
    write_data_dir(folder, utterances, {} if unknown else genders)


def _report(name: str, utterances: list[Utterance]) -> None:
    """Say how many utterances there are, and whether that is what whole discs have."""
    expected, count = SETS[name].utterances, len(utterances)
    speakers = len({utterance.speaker for utterance in utterances})
    if count == expected:
        logger.info("%s: %d utterances of %d speakers, as on whole discs", name, count, speakers)
    else:
        logger.warning(
            "%s: %d utterances of %d speakers, but whole discs have %d: results are not comparable with others'",
            name,
            count,
            speakers,
            expected,
        )
