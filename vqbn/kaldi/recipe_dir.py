"""A folder in which Kaldi's scripts run on our data directories: links, path.sh, MFCC settings, data, dictionary."""

import logging
import os
import re
import shlex
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import replacing, write_text
from vqbn.kaldi.datadir import read_data_dir
from vqbn.kaldi.pronunciations import SPECIAL
from vqbn.kaldi.symbols import STRESS
from vqbn.text_files import read_lines

logger = logging.getLogger(__name__)

SCRIPTS = "egs/wsj/s5"
VARIANT = re.compile(r"\(\d+\)$")
SILENCES = ("SIL", "SPN", "NSN")
# Kaldi's programs read wav files; of other formats these commands make one.
SUFFIXES = {".wv1": "sph2pipe", ".wv2": "sph2pipe", ".sph": "sph2pipe", ".flac": "flac"}


def make_recipe_dir(
    folder: str | Path,
    kaldi_root: str | Path,
    data_dirs: Sequence[str | Path],
    lexicon: str | Path | None = None,
    mfcc_conf: str | Path | None = None,
    audio_root: str | Path | None = None,
) -> None:
    """Make the folder, or bring it up to date.

    Args:
        folder: where the scripts will run.
        kaldi_root: Kaldi, compiled.
        data_dirs: the sets; each becomes `data/<name>`.
        lexicon: lines `WORD PHONE PHONE ...`; becomes `data/local/dict_nosp`. None: no dictionary is made.
        mfcc_conf: the MFCC settings of a model that is there already; those of Kaldi's WSJ recipe if None.
        audio_root: the folder that relative paths in `wav.scp` start from.

    Raises:
        InputError: Kaldi is missing or not compiled, a data directory or the lexicon is defective, a program is missing
            that reads the audio, or the folder has models that were trained on other data.
    """
    folder, kaldi_root = Path(folder), Path(kaldi_root).absolute()
    check_kaldi(kaldi_root)
    settings = _read(Path(mfcc_conf), "MFCC settings") if mfcc_conf else "--use-energy=false\n"
    dictionary = dict_files(read_pronunciations(Path(lexicon))) if lexicon else {}
    sets = {Path(path).resolve().name: kaldi_lists(path, kaldi_root, audio_root) for path in data_dirs}
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("steps", "utils", "local"):
        link = folder / name
        if not link.is_symlink() or os.readlink(link) != str(kaldi_root / SCRIPTS / name):
            link.unlink(missing_ok=True)
            link.symlink_to(kaldi_root / SCRIPTS / name)
    write_text(folder / "path.sh", path_script(kaldi_root))
    write_text(folder / "conf/mfcc.conf", settings)
    for name, content in dictionary.items():
        write_text(folder / "data/local/dict_nosp" / name, content)
    for name, lists in sets.items():
        target = folder / "data" / name
        if target.exists() and all(
            (target / file).is_file() and (target / file).read_text(encoding="utf-8") == content
            for file, content in lists.items()
        ):
            continue  # Kaldi's features of it stay
        if target.exists() and (folder / "exp").exists():
            raise InputError(
                f"{folder}: its models were trained on other data than {name} has now; remove it or give another"
            )
        with replacing(target) as temporary:
            for file, content in lists.items():
                write_text(temporary / file, content)
        logger.info("wrote %s", target)


def check_kaldi(kaldi_root: Path) -> None:
    """Refuse a folder that is not a compiled Kaldi."""
    for part, advice in (
        (SCRIPTS + "/steps/train_sat.sh", "expected a Kaldi checkout"),
        ("src/featbin/compute-mfcc-feats", "compile Kaldi (src/INSTALL)"),
    ):
        if not (kaldi_root / part).is_file():
            raise InputError(f"--kaldi_root {kaldi_root}: has no {part}; {advice}")


def path_script(kaldi_root: Path) -> str:
    """`path.sh`, which Kaldi's scripts source for their programs."""
    root = shlex.quote(str(kaldi_root))
    return (
        f"export KALDI_ROOT={root}\n"
        "[ ! -f $KALDI_ROOT/tools/env.sh ] || . $KALDI_ROOT/tools/env.sh\n"
        "[ ! -f $KALDI_ROOT/tools/config/common_path.sh ] || . $KALDI_ROOT/tools/config/common_path.sh\n"
        "export PATH=$PWD/utils:$KALDI_ROOT/tools/openfst/bin:$PATH\n"
        "export LC_ALL=C\n"
    )


def kaldi_lists(path: str | Path, kaldi_root: Path, audio_root: str | Path | None = None) -> dict[str, str]:
    """The lists of a data directory for Kaldi's programs: utterances with a transcript, audio as wav.

    Returns:
        File name → content.

    Raises:
        InputError: the directory is defective, or a program is missing that reads its audio.
    """
    data = read_data_dir(path, audio_root)
    usable = [utterance for utterance in data.utterances.values() if utterance.text]
    speakers = defaultdict(list)
    for utterance in usable:
        speakers[utterance.speaker].append(utterance.id)
    kept = {utterance.id for utterance in usable}
    segmented = (data.path / "segments").is_file()
    root = Path(audio_root).absolute() if audio_root else Path.cwd()
    wavs = []
    for _, line in read_lines(data.path / "wav.scp", "expected the list of audio"):
        key, entry = line.split(maxsplit=1)
        if segmented or key in kept:
            wavs.append(f"{key} {wav_entry(entry, root, kaldi_root)}\n")
    lists = {
        "wav.scp": "".join(wavs),
        "text": "".join(f"{utterance.id} {utterance.text}\n" for utterance in usable),
        "utt2spk": "".join(f"{utterance.id} {utterance.speaker}\n" for utterance in usable),
        "spk2utt": "".join(f"{speaker} {' '.join(ids)}\n" for speaker, ids in sorted(speakers.items())),
    }
    if segmented:
        lines = [line for _, line in read_lines(data.path / "segments", "expected the list of segments")]
        lists["segments"] = "".join(f"{line}\n" for line in lines if line.split()[0] in kept)
    return lists


def wav_entry(entry: str, root: Path, kaldi_root: Path) -> str:
    """What Kaldi's `wav.scp` needs for an entry of ours: commands as they are, other formats through a program.

    Raises:
        InputError: the program is missing.
    """
    if entry.endswith("|"):
        return entry
    file = root / entry
    program = SUFFIXES.get(file.suffix.lower())
    if program is None:
        return str(file)
    quoted = shlex.quote(str(file))
    if program == "flac":
        if not shutil.which("flac"):
            raise InputError(f"{file}: Kaldi reads flac files through the program flac; install it (Debian: flac)")
        return f"flac -c -d -s {quoted} |"
    found = shutil.which(
        "sph2pipe", path=os.pathsep.join([*map(str, kaldi_root.glob("tools/sph2pipe*")), os.environ.get("PATH", "")])
    )
    if not found:
        raise InputError(
            f"{file}: Kaldi reads SPHERE files through sph2pipe, which is not in {kaldi_root}/tools/sph2pipe*; make it "
            "there (make sph2pipe)"
        )
    return f"{found} -f wav -p -c 1 {quoted} |"


def read_pronunciations(path: Path) -> dict[str, list[str]]:
    """Word in upper case → its pronunciations, phones separated by blanks, stress as it is.

    Raises:
        InputError: the file is missing or a line has no phones.
    """
    table: dict[str, list[str]] = {}
    for number, line in read_lines(path, "expected a lexicon"):
        word, *phones = line.split()
        if word.startswith((";;;", "##")):
            continue
        if not phones:
            raise InputError(f"{path}:{number}: '{word}' has no phones; expected 'WORD PHONE PHONE ...'")
        spoken = table.setdefault(VARIANT.sub("", word).upper(), [])
        if " ".join(phones) not in spoken:
            spoken.append(" ".join(phones))
    if not table:
        raise InputError(f"{path}: no words in it; expected lines 'WORD PHONE PHONE ...'")
    return table


def dict_files(pronunciations: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Kaldi's dictionary folder for CMU phones, as its WSJ recipe makes it.

    Phones that differ in stress alone share a line of `nonsilence_phones.txt`, and so the root of a tree;
    `extra_questions.txt` lets trees ask for silences and for each stress.

    Returns:
        File name → content.
    """
    words = {word: list(spoken) for word, spoken in pronunciations.items()} | {w: [p] for w, p in SPECIAL.items()}
    phones = {phone for spoken in pronunciations.values() for each in spoken for phone in each.split()}
    phones -= set(SILENCES)
    families, stresses = defaultdict(list), defaultdict(list)
    for phone in sorted(phones):
        base = STRESS.sub("", phone)
        families[base].append(phone)
        stresses[phone.removeprefix(base)].append(phone)
    questions = [" ".join(SILENCES), *(" ".join(group) for _, group in sorted(stresses.items()))]
    return {
        "lexicon.txt": "".join(f"{word} {spoken}\n" for word in sorted(words) for spoken in words[word]),
        "nonsilence_phones.txt": "".join(f"{' '.join(family)}\n" for _, family in sorted(families.items())),
        "silence_phones.txt": "".join(f"{phone}\n" for phone in SILENCES),
        "optional_silence.txt": "SIL\n",
        "extra_questions.txt": "".join(f"{question}\n" for question in questions),
    }


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; expected {what}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; expected {what}") from error
