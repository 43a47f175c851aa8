"""Kaldi data directories: the lists that say which utterances there are.

A data directory holds `wav.scp` (utterance, audio file), `text` (utterance, transcript), `utt2spk` (utterance, speaker)
and, where they are wanted, `spk2utt` and `spk2gender`. With `segments` (utterance, recording, start, end), `wav.scp`
lists recordings, of which the utterances are stretches. Each is sorted by its first column as `LC_ALL=C sort` does.
An entry of `wav.scp` that ends in `|` is a shell command that writes the audio, and `file.ark:offset` an audio file in
an archive, as in Kaldi. Of a recording with several channels, `reco2file_and_channel` (recording, file, channel A or B)
says which one is meant.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vqbn.errors import InputError
from vqbn.kaldi.source import ArchiveItem, Channel, Command, Excerpt, Source
from vqbn.text_files import byte_lines

ASCII_DIGITS = re.compile("[0-9]+")
SORT_ADVICE = "sort the file with LC_ALL=C sort"


@dataclass(frozen=True)
class Utterance:
    """One utterance of a data directory.

    Attributes:
        id: the utterance id.
        audio: the audio file, command or stretch of a recording; it is not opened, and need not exist.
        text: the transcript; empty where the list gives none, which is a defect of this one utterance.
        speaker: the speaker id.
    """

    id: str
    audio: Source
    text: str
    speaker: str


@dataclass(frozen=True)
class DataDir:
    """A data directory that was read and found consistent.

    Attributes:
        path: the folder.
        utterances: utterance id → utterance, in the lists' order, which is the sorted one.
    """

    path: Path
    utterances: dict[str, Utterance]

    @property
    def speakers(self) -> set[str]:
        """The ids of all speakers."""
        return {utterance.speaker for utterance in self.utterances.values()}


def read_data_dir(path: str | Path, audio_root: str | Path | None = None, channel: int | None = None) -> DataDir:
    """Read a data directory and check its lists against each other.

    Args:
        path: the folder.
        audio_root: the folder that relative paths in `wav.scp` start from; the current directory if None.
        channel: which channel, from 1, of recordings of which `reco2file_and_channel` does not say it.

    Raises:
        InputError: the folder or a list is missing, unreadable, unsorted or inconsistent: the first problem, with its
            file and line, and how many more there are.
    """
    data, problems = _read(path, audio_root, channel)
    if problems:
        more = f" (and {len(problems) - 1} more: vqbn-validate-data-dir {path} lists them)" if problems[1:] else ""
        raise InputError(problems[0] + more)
    return data


def find_problems(path: str | Path, audio_root: str | Path | None = None) -> list[str]:
    """List everything that is wrong with a data directory's lists, each with its file and line.

    Args:
        path: the folder.
        audio_root: as in `read_data_dir`.

    Returns:
        One line per problem; empty for a good directory. Empty transcripts and audio files are not looked at.
    """
    return _read(path, audio_root)[1]


def _read(path: str | Path, audio_root: str | Path | None, channel: int | None = None) -> tuple[DataDir, list[str]]:
    """Read what can be read, and collect the problems in the order in which a user would mend them."""
    path = Path(path)
    problems: list[str] = []
    if not path.is_dir():
        found = "is a file" if path.exists() else "no such folder"
        return DataDir(path, {}), [f"{path}: {found}; expected a Kaldi data directory with wav.scp, text and utt2spk"]
    wavs = _read_table(path / "wav.scp", problems)
    texts = _read_table(path / "text", problems, value_needed=False)
    speakers = _read_table(path / "utt2spk", problems)
    if problems and not (wavs and texts and speakers):
        return DataDir(path, {}), problems
    root = Path(audio_root) if audio_root is not None else Path()
    sources: dict[str, Source] = {key: _source(value, root) for key, (value, _) in wavs.items()}
    sources = _choose_channels(path, sources, channel, problems)
    utterance_list, listed = "wav.scp", wavs
    if (path / "segments").exists():
        utterance_list, listed = "segments", _read_table(path / "segments", problems)
        sources = _cut_recordings(path, listed, sources, problems)
    problems.extend(_compare(path, utterance_list, listed, texts, "text"))
    problems.extend(_compare(path, utterance_list, listed, speakers, "utt2spk"))
    if (path / "spk2utt").exists():
        problems.extend(_check_spk2utt(path, speakers))
    if (path / "spk2gender").exists():
        problems.extend(_check_spk2gender(path, speakers))
    utterances = {
        key: Utterance(key, sources[key], texts[key][0], speakers[key][0])
        for key in listed
        if key in sources and key in texts and key in speakers
    }
    return DataDir(path, utterances), problems


def _read_table(file: Path, problems: list[str], value_needed: bool = True) -> dict[str, tuple[str, int]]:
    """Read lines `key value`; give key → (value, line number) and add what is wrong to `problems`."""
    table: dict[str, tuple[str, int]] = {}
    last = ""
    for number, line in _lines(file, problems):
        key, value = _split(line)
        if not key:
            continue
        if key in table:
            problems.append(f"{file}:{number}: '{key}' is here twice, first on line {table[key][1]}; keep one of them")
            continue
        if key < last:
            problems.append(f"{file}:{number}: not sorted: '{key}' comes after '{last}'; {SORT_ADVICE}")
        if value_needed and not value:
            problems.append(f"{file}:{number}: '{key}' has nothing after it; expected two columns")
        last = max(last, key)
        table[key] = (value, number)
    if not table and not any(problem.startswith(str(file)) for problem in problems):
        problems.append(f"{file}: the file is empty; expected one line per entry")
    return table


def _lines(file: Path, problems: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line) of a UTF-8 file; lines that aren't UTF-8 go to `problems`."""
    try:
        content = file.read_bytes()
    except OSError as error:
        problems.append(f"{file}: can't be read: {error.strerror}; a Kaldi data directory needs this file")
        return
    for number, line in enumerate(byte_lines(content), 1):
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError:
            problems.append(f"{file}:{number}: not UTF-8 text; convert the file to UTF-8")


def _split(line: str) -> tuple[str, str]:
    """Split a line at its first blank or tab."""
    key, _, value = line.replace("\t", " ").strip(" \r").partition(" ")
    return key, value.strip(" ")


def _source(entry: str, root: Path) -> Path | ArchiveItem | Command:
    """What an entry of `wav.scp` stands for; relative paths start from `root`."""
    if entry.endswith("|"):
        return Command(entry.removesuffix("|").strip())
    path, _, offset = entry.rpartition(":")
    # Kaldi too takes whatever ends in a colon and digits for a place in a file.
    return ArchiveItem(root / path, int(offset)) if path and ASCII_DIGITS.fullmatch(offset) else root / entry


def _choose_channels(
    path: Path, recordings: dict[str, Source], channel: int | None, problems: list[str]
) -> dict[str, Source]:
    """The channel of each recording, as far as it is said; add what is wrong to `problems`."""
    file = path / "reco2file_and_channel"
    chosen = dict.fromkeys(recordings, channel)
    for key, (value, number) in _read_table(file, problems).items() if file.exists() else ():
        name = value.split()[-1] if value else ""
        if len(value.split()) != 2:
            problems.append(f"{file}:{number}: found '{key} {value[:80]}'; expected 'recording file channel'")
        # Other names than A, B or a number tell nothing about an audio file.
        elif name in ("A", "B"):
            chosen[key] = 1 + "AB".index(name)
        elif ASCII_DIGITS.fullmatch(name) and int(name) > 0:
            chosen[key] = int(name)
    return {key: Channel(source, chosen[key]) if chosen[key] else source for key, source in recordings.items()}


def _cut_recordings(
    path: Path, segments: dict[str, tuple[str, int]], recordings: dict[str, Source], problems: list[str]
) -> dict[str, Source]:
    """Give each utterance of `segments` its stretch of a recording; add what is wrong to `problems`."""
    file = path / "segments"
    stretches: dict[str, Source] = {}
    used = set()
    for key, (value, number) in segments.items():
        try:
            recording, *times = value.split()
            start, end = map(float, times)
        except ValueError:
            problems.append(f"{file}:{number}: found '{key} {value[:80]}'; expected 'utterance recording start end'")
            continue
        used.add(recording)
        if recording not in recordings:
            problems.append(
                f"{file}:{number}: '{key}' is of the recording '{recording}', which {path / 'wav.scp'} doesn't have"
            )
        elif not (0 <= start < end < float("inf") or (end == -1 and start >= 0)):
            problems.append(f"{file}:{number}: '{key}' goes from {times[0]} to {times[1]} s; expected 0 <= start < end")
        else:
            # Kaldi writes -1 for the end of the recording.
            stretches[key] = Excerpt(recordings[recording], start, None if end == -1 else end)
    for recording in sorted(recordings.keys() - used):
        problems.append(f"{path / 'wav.scp'}: the recording '{recording}' has no line in {file}; remove it")
    return stretches


def _compare(
    path: Path, utterance_list: str, listed: dict[str, tuple[str, int]], other: dict[str, tuple[str, int]], name: str
) -> Iterator[str]:
    """Yield a problem for each utterance that only one of the lists `utterance_list` and `name` has."""
    for key, (_, number) in other.items():
        if key not in listed:
            yield f"{path / name}:{number}: unknown utterance '{key}': {path / utterance_list} doesn't have it"
    for key, (_, number) in listed.items():
        if key not in other:
            yield f"{path / utterance_list}:{number}: utterance '{key}' has no line in {path / name}"


def _check_spk2utt(path: Path, speakers: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Yield a problem for each disagreement between `spk2utt` and `utt2spk`."""
    file = path / "spk2utt"
    problems: list[str] = []
    table = _read_table(file, problems)
    yield from problems
    expected = defaultdict(set)
    for key, (speaker, _) in speakers.items():
        expected[speaker].add(key)
    for speaker, (utterances, number) in table.items():
        listed = set(utterances.split())
        for key in sorted(listed - expected[speaker]):
            found = f"gives it to '{speakers[key][0]}'" if key in speakers else "doesn't have it"
            yield f"{file}:{number}: utterance '{key}' under speaker '{speaker}': {path / 'utt2spk'} {found}"
        for key in sorted(expected[speaker] - listed):
            yield f"{file}:{number}: utterance '{key}' is missing under speaker '{speaker}'"
    for speaker in sorted(expected.keys() - table.keys()):
        yield f"{file}: no line for speaker '{speaker}' of {path / 'utt2spk'}"


def _check_spk2gender(path: Path, speakers: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Yield a problem for each line of `spk2gender` with an unknown speaker or something other than m and f."""
    file = path / "spk2gender"
    problems: list[str] = []
    table = _read_table(file, problems)
    yield from problems
    known = {speaker for speaker, _ in speakers.values()}
    for speaker, (gender, number) in table.items():
        if speaker not in known:
            yield f"{file}:{number}: unknown speaker '{speaker}': {path / 'utt2spk'} doesn't have it"
        if gender not in ("m", "f"):
            yield f"{file}:{number}: speaker '{speaker}' has the gender '{gender}'; expected m or f"
