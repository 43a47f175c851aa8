"""speechocean762 (OpenSLR 101): English read by Mandarin speakers, half of them children, as Kaldi data directories."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from vqbn.corpora.corpus import write_data_dir
from vqbn.corpora.download import download, unpack
from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.kaldi.datadir import Utterance
from vqbn.text_files import read_lines

logger = logging.getLogger(__name__)

URL = "https://www.openslr.org/resources/101/speechocean762.tar.gz"
NAME = "speechocean762"
# The corpus has no development set. These are 15 of its 125 test speakers, men and women; the other 110 stay untouched
# by the choices that are made on these. The list is fixed because the recipe's results are for it.
DEV_SPEAKERS = (
    *("0120", "0133", "0981", "1037", "1293", "1404", "1420", "1503"),
    *("2031", "5015", "5039", "6099", "8581", "9118", "9601"),
)


def fetch(folder: str | Path, url: str = URL) -> Path:
    """Download and unpack the corpus, 520 MB, unless it is there.

    Args:
        folder: where the archive and the folder `speechocean762` go.
        url: the archive's address.

    Returns:
        The corpus's folder.

    Raises:
        InputError: it can't be fetched, or the archive is damaged or not this corpus.
        OSError: it can't be written; what was fetched is kept.
    """
    folder = Path(folder)
    corpus = folder / NAME
    if corpus.is_dir():
        logger.info("%s: is there already", corpus)
        return corpus
    archive = download(url, folder / f"{NAME}.tar.gz")
    unpack(archive, corpus, NAME)
    archive.unlink()
    return corpus


def prepare(
    corpus: str | Path, out: str | Path, dev_speakers: Sequence[str] = DEV_SPEAKERS, max_bad: float = 0.05
) -> dict[str, int]:
    """Write data directories `train`, `dev` and, where the corpus has it, `test`; and `lexicon.txt`.

    Two layouts are known: the one of the archive (`WAVE`, `train`, `test`, `resource/lexicon.txt`), whose test speakers
    are parted into `dev` and `test`, and data directories `train` and `dev`, and `test` where there is one, beside a
    `lexicon.txt`. The archive is known by `WAVE` and `resource`, which only it has. Utterance ids get
    the speaker as a prefix (`0001-000010011`) where they lack it, as sorted Kaldi lists need.

    Args:
        corpus: the corpus's folder, or the one that holds the folder `speechocean762`.
        out: where the data directories go.
        dev_speakers: the test speakers that make the development set, in the archive's layout.
        max_bad: the share of utterances that may lack audio, 0 to 1.

    Returns:
        Set -> number of utterances.

    Raises:
        InputError: the folder is not this corpus, its lists don't fit together, too much audio is missing, or `out`
            holds other data.
    """
    corpus, out = _find(Path(corpus)), Path(out)
    if _is_archive(corpus):
        lexicon = corpus / "resource/lexicon.txt"
        sets = {"train": _read_set(corpus, "train"), **_part(_read_set(corpus, "test"), dev_speakers, corpus)}
        genders = _genders(corpus, "train") | _genders(corpus, "test")
    else:
        lexicon = corpus / "lexicon.txt"
        names = [name for name in ("train", "dev", "test") if (corpus / name).is_dir()]
        sets = {name: _read_set(corpus, name) for name in names}
        genders = {speaker: gender for name in names for speaker, gender in _genders(corpus, name).items()}
    pronunciations = _read(lexicon)
    if common := {u.speaker for u in sets["train"]} & {
        u.speaker for name in sets if name != "train" for u in sets[name]
    }:
        raise InputError(f"{corpus}: speaker {min(common)} is both in train and in another set; expected no overlap")
    counts = {}
    for name, utterances in sets.items():
        defects = Defects("utterances", max_bad)
        for utterance in utterances:
            if not utterance.audio.is_file():
                defects.add(utterance.id, f"{utterance.audio}: no such file")
        defects.check(len(utterances), str(corpus / name))
        sets[name] = [utterance for utterance in utterances if utterance.id not in defects.reasons]
        counts[name] = len(sets[name])
    for name, utterances in sets.items():
        write_data_dir(out / name, utterances, genders)
    write_text(out / "lexicon.txt", pronunciations)
    logger.info("%s: %s", out, ", ".join(f"{name} {count} utterances" for name, count in counts.items()))
    return counts


def _find(corpus: Path) -> Path:
    """The folder that holds the lists."""
    for folder in (corpus, corpus / NAME):
        if (folder / "train").is_dir() and (folder / ("test" if _is_archive(folder) else "dev")).is_dir():
            return folder
    raise InputError(
        f"{corpus}: not speechocean762: expected the folders train, test, WAVE and resource of OpenSLR 101, or train "
        "and dev; give the corpus's folder with --corpus, or have it fetched with --download"
    )


def _is_archive(folder: Path) -> bool:
    """Whether it is in the archive's layout; data directories too may be called train and test."""
    return (folder / "WAVE").is_dir() and (folder / "resource").is_dir()


def _read_set(corpus: Path, name: str) -> list[Utterance]:
    """The utterances of one of the corpus's own lists, with the speaker in front of each id."""
    audio, texts, speakers = (_read_table(corpus / name / file) for file in ("wav.scp", "text", "utt2spk"))
    for file, table in (("text", texts), ("utt2spk", speakers)):
        if odd := sorted(audio.keys() ^ table.keys()):
            raise InputError(
                f"{corpus / name}: wav.scp and {file} don't list the same utterances: {odd[0]} is in one of them only; "
                "the corpus is not whole, fetch it again"
            )
    return [
        Utterance(_full_id(key, speakers[key]), corpus / path, " ".join(texts[key].split()), speakers[key])
        for key, path in audio.items()
    ]


def _full_id(utterance: str, speaker: str) -> str:
    return utterance if utterance.startswith(f"{speaker}-") else f"{speaker}-{utterance}"


def _part(utterances: list[Utterance], dev_speakers: Sequence[str], corpus: Path) -> dict[str, list[Utterance]]:
    """Part the test speakers into `dev` and `test`."""
    unknown = sorted(set(dev_speakers) - {utterance.speaker for utterance in utterances})
    if unknown:
        raise InputError(
            f"{corpus / 'test' / 'utt2spk'}: the development speaker {unknown[0]} is not among its speakers"
        )
    chosen = set(dev_speakers)
    return {
        "dev": [utterance for utterance in utterances if utterance.speaker in chosen],
        "test": [utterance for utterance in utterances if utterance.speaker not in chosen],
    }


def _genders(corpus: Path, name: str) -> Mapping[str, str]:
    """Speaker -> m or f, where the corpus says so."""
    file = corpus / name / "spk2gender"
    return _read_table(file) if file.exists() else {}


def _read_table(file: Path) -> dict[str, str]:
    """Key -> rest of the line; tabs or blanks between them, in any order."""
    table: dict[str, str] = {}
    for number, line in read_lines(file, "speechocean762 has this file"):
        key, *rest = line.split(maxsplit=1)
        if key in table:
            raise InputError(f"{file}:{number}: '{key}' is here twice; the corpus is not whole, fetch it again")
        table[key] = rest[0].strip() if rest else ""
    if not table:
        raise InputError(f"{file}: the file is empty; the corpus is not whole, fetch it again")
    return table


def _read(file: Path) -> str:
    """A text file of the corpus."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: can't be read: {error.strerror}; speechocean762 has this file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text; the corpus is damaged, fetch it again") from error
