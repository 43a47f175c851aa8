"""A corpus as the recipes want it: each set of utterances a Kaldi data directory."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import replacing, write_text
from vqbn.kaldi.datadir import Utterance, read_data_dir
from vqbn.kaldi.source import absolute

LISTS = ("wav.scp", "text", "utt2spk", "spk2utt", "spk2gender")


def write_data_dir(path: str | Path, utterances: Iterable[Utterance], genders: Mapping[str, str] | None = None) -> None:
    """Write `wav.scp` (absolute paths), `text`, `utt2spk`, `spk2utt` and, given genders, `spk2gender`, all sorted.

    A folder that holds the same utterances already is brought up to date, and keeps what else is in it.

    Args:
        path: the folder; it appears whole or not at all.
        utterances: in any order.
        genders: speaker → m or f; speakers that it lacks get no line.

    Raises:
        InputError: the folder exists and holds something else, or there are no utterances.
    """
    path = Path(path)
    utterances = sorted(utterances, key=lambda utterance: utterance.id)
    if not utterances:
        raise InputError(f"{path}: no utterances to write in it")
    lists = _lists(utterances, genders or {})
    if path.exists():
        _check_same(path, utterances)
        for name, content in lists.items():
            if not (path / name).exists() or (path / name).read_text(encoding="utf-8") != content:
                write_text(path / name, content)
        return
    with replacing(path) as folder:
        folder.mkdir()
        for name, content in lists.items():
            write_text(folder / name, content)


def _lists(utterances: list[Utterance], genders: Mapping[str, str]) -> dict[str, str]:
    """The content of each list."""
    speakers = defaultdict(list)
    for utterance in utterances:
        speakers[utterance.speaker].append(utterance.id)
    tables = {
        "wav.scp": {utterance.id: str(absolute(utterance.audio)) for utterance in utterances},
        "text": {utterance.id: utterance.text for utterance in utterances},
        "utt2spk": {utterance.id: utterance.speaker for utterance in utterances},
        "spk2utt": {speaker: " ".join(ids) for speaker, ids in sorted(speakers.items())},
        "spk2gender": {speaker: genders[speaker] for speaker in sorted(speakers) if speaker in genders},
    }
    return {
        name: "".join(f"{key} {value}".rstrip() + "\n" for key, value in table.items())
        for name, table in tables.items()
        if table
    }


def _check_same(path: Path, utterances: list[Utterance]) -> None:
    """Refuse to write over a folder that is not a data directory of these utterances."""
    try:
        found = list(read_data_dir(path).utterances)
    except InputError as error:
        raise InputError(f"{path}: exists, and is not this corpus: remove it or write elsewhere ({error})") from error
    if found != [utterance.id for utterance in utterances]:
        raise InputError(
            f"{path}: holds {len(found)} other utterances (the first is {found[0]}, here it is {utterances[0].id}): "
            "remove it or write elsewhere"
        )
