"""Kaldi's alignment directories: which there are in an experiment folder, whose ids they use, how to make others."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from vqbn.errors import InputError
from vqbn.kaldi.datadir import DataDir, Utterance

T = TypeVar("T")

# In the order in which they are looked for: the paper's model first. A model trained with speaker adaptation leaves the
# training set's alignments in its own folder; the other sets' are in folders that align_fmllr.sh made.
PATTERNS = ("tri3b_ali* tri3b", "tri4b_ali* tri4b")
ALI = re.compile(r"_ali.*")


def find_ali_dirs(folder: Path, patterns: Sequence[str] = PATTERNS) -> list[Path]:
    """Give the alignment directories that a folder stands for.

    Args:
        folder: an alignment directory, such as `exp/tri3b_ali_si284`; a model's folder with the alignments of its
            training set, `exp/tri3b`, which brings `exp/tri3b_ali*` with it; or the folder `exp` with either.
        patterns: groups of patterns of names in `exp`, separated by blanks; the first group that matches counts.

    Returns:
        Absolute paths, so that the spelling of `folder` decides nothing: `folder` itself first, then by name.

    Raises:
        InputError: there is none; the message names the folders below that do hold alignments.
    """
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a Kaldi experiment folder with {patterns[0].split()[0]}")
    if _has_alignments(folder):
        beside = [] if ALI.search(folder.name) else folder.parent.glob(f"{folder.name}_ali*")
        return [folder, *sorted(path for path in beside if _has_alignments(path))]
    for group in patterns:
        found = sorted({path for pattern in group.split() for path in folder.glob(pattern) if _has_alignments(path)})
        if found:
            return found
    looked = f"{folder}: no ali.*.gz here or in {', '.join(' '.join(patterns).split())}"
    others = sorted(path for depth in ("*", "*/*") for path in folder.glob(depth) if _has_alignments(path))
    if not others:
        raise InputError(f"{looked}; expected Kaldi's alignments, such as tri3b_ali_si284")
    raise InputError(
        f"{looked}, but in {', '.join(str(path.relative_to(folder)) for path in others)}; choose one with --kaldi_exp "
        f"{shlex.quote(str(others[-1]))}"
    )


def _has_alignments(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("ali.*.gz"))


def spellings(utterance: Utterance) -> list[str]:
    """The ids that Kaldi may have for an utterance: its own; without the speaker in front; with it."""
    forms = [utterance.id]
    for separator in "-_":
        forms.append(utterance.id.removeprefix(utterance.speaker + separator))
        forms.append(f"{utterance.speaker}{separator}{utterance.id}")
    return list(dict.fromkeys(form for form in forms if form))


def rename(data: DataDir, table: Mapping[str, T], source: str) -> Mapping[str, T]:
    """Give a source's items the ids that a data directory has for them.

    Only where the source has none of the directory's own ids are others tried: with or without the speaker in front.

    Args:
        data: the data directory.
        table: id in the source → item.
        source: the source's name, for messages.

    Raises:
        InputError: one id of the source would stand for two utterances.
    """
    if not table.keys().isdisjoint(data.utterances):
        return table
    renamed: dict[str, T] = {}
    owners: dict[str, str] = {}
    for utterance in data.utterances.values():
        for form in spellings(utterance):
            if form not in table:
                continue
            if form in owners:
                raise InputError(
                    f"{source}: '{form}' could be '{owners[form]}' or '{utterance.id}' of {data.path}: its ids lack "
                    "the speaker; align the set with the same ids"
                )
            owners[form] = utterance.id
            renamed[utterance.id] = table[form]
            break
    return renamed


def align_commands(data_dirs: Iterable[DataDir], ali_dirs: Sequence[Path]) -> list[str]:
    """The commands that align sets with the model of some alignment directories, to be given in Kaldi's recipe folder.

    Args:
        data_dirs: the sets without alignments.
        ali_dirs: directories of the model; the first counts.

    Returns:
        Shell lines: `cd`, then one per set.
    """
    first = ali_dirs[0].resolve()
    recipe, exp = first.parent.parent, first.parent.name
    model = ALI.sub("", first.name)
    # Kaldi's WSJ recipe trains up to tri3b without pronunciation probabilities ("nosp").
    plain = (recipe / "data/lang").is_dir() and not (recipe / "data/lang_nosp").is_dir()
    lang = "data/lang_nosp" if model == "tri3b" and not plain else "data/lang"
    lines = [f"cd {recipe}"]
    for data in data_dirs:
        name = data.path.resolve().name
        jobs = min(10, len(data.speakers))
        folders = f"data/{name} {lang} {exp}/{model} {exp}/{model}_ali_{name}"
        lines.append(f'steps/align_fmllr.sh --nj {jobs} --cmd "$train_cmd" {folders}')
    return lines
