"""The discs of WSJ0 and WSJ1 as labs have them on disk: where a file is that an index names by disc and path.

Two layouts are known. In one each disc has a folder of its number, `11-1.1/wsj0/...`; in the other the discs are merged
into one tree, `wsj0/...` and `wsj1/...`. Some copies have names in upper case, some discs only, so case never matters.
"""

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vqbn.errors import InputError

DISC = re.compile(r"(\d+)[-_.](\d+)[-_.](\d+)")
TREES = ("wsj0", "wsj1")
# Discs may lie in a folder per box (`csr_1_senn_d1/11-1.1`) below the one that the user names.
DEPTH = 3


class Discs:
    """The files on the discs below some folders.

    Args:
        roots: `wsj0` or `wsj1` → a folder that holds that corpus's discs or merged tree, or is the tree.

    Attributes:
        discs: disc number (`11_1_1`) → its folder.
        trees: for each place where files were found, the folder and what its name stands for: paths there begin after
            `wsj0` or `wsj1`, or with it where that is the empty string.
    """

    def __init__(self, roots: Mapping[str, Path]):
        self.roots = dict(roots)
        self.discs: dict[str, Path] = {}
        self.trees: list[tuple[Path, str]] = []
        for name, root in self.roots.items():
            if (root / "doc").is_dir() or (root / "DOC").is_dir():
                self.trees.append((root, name))
            else:
                self._look_in(root, DEPTH)
        self._names = functools.cache(_listing)

    def _look_in(self, folder: Path, depth: int) -> None:
        children = sorted(child for child in folder.iterdir() if child.is_dir())
        if any(child.name.lower() in TREES for child in children):
            if (folder, "") not in self.trees:
                self.trees.append((folder, ""))
            if match := DISC.fullmatch(folder.name):
                self.discs.setdefault("_".join(match.groups()), folder)
        elif depth:
            for child in children:
                self._look_in(child, depth - 1)

    def corpora(self) -> set[str]:
        """Which of `wsj0` and `wsj1` there are."""
        found = set()
        for folder, name in self.trees:
            found |= {name} if name else self._names(folder).keys() & set(TREES)
        return found

    def find(self, path: str, disc: str | None = None) -> Path | None:
        """Give a file's place.

        Args:
            path: its path on the disc, such as `wsj0/doc/indices/train/tr_s_wv1.ndx`, in any case.
            disc: the disc that should have it, such as `11_13_1`. The indices name a wrong one here and there, so the
                others are looked at after it.

        Returns:
            The file, or None if no disc has it.
        """
        parts = path.lower().split("/")
        if disc in self.discs and (found := self._resolve(self.discs[disc], parts)):
            return found
        for folder, name in self.trees:
            if name in ("", parts[0]) and (found := self._resolve(folder, parts[bool(name) :])):
                return found
        return None

    def _resolve(self, folder: Path, parts: Sequence[str]) -> Path | None:
        for part in parts:
            name = self._names(folder).get(part)
            if name is None:
                return None
            folder = folder / name
        return folder

    def documents(self) -> Iterator[Path]:
        """Give all transcripts (`.dot`) and lists of speakers (`spkrinfo.txt`), in a fixed order."""
        for folder, name in self.trees:
            names = self._names(folder)
            for start in [folder] if name else [folder / names[tree] for tree in TREES if tree in names]:
                for parent, folders, files in os.walk(start, followlinks=True):
                    folders.sort()
                    for file in sorted(files):
                        lower = file.lower()
                        if lower.endswith(".dot") or (lower.endswith(".txt") and "spkrinfo" in lower):
                            yield Path(parent, file)


def _listing(folder: Path) -> dict[str, str]:
    """Name in lower case → name, of everything in a folder; empty where there is none."""
    try:
        return {name.lower(): name for name in sorted(os.listdir(folder))}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def open_discs(wsj0: str | Path, wsj1: str | Path | None) -> Discs:
    """Find the discs of both corpora.

    Args:
        wsj0: the folder with WSJ0 (LDC93S6A or B).
        wsj1: the folder with WSJ1 (LDC94S13A or B); None if only sets of WSJ0 are wanted. Both may be one folder.

    Raises:
        InputError: a folder is missing, or has no discs, or those of the other corpus.
    """
    roots = {name: Path(root) for name, root in zip(TREES, (wsj0, wsj1), strict=True) if root is not None}
    for name, root in roots.items():
        if not root.is_dir():
            raise InputError(f"--{name} {root}: no such folder; expected the discs of {name.upper()}")
        found = Discs({name: root}).corpora()
        if not found:
            disc = {"wsj0": "11-1.1", "wsj1": "13-1.1"}[name]
            raise InputError(
                f"--{name} {root}: has no WSJ discs; expected disc folders such as {disc}, with a folder {name} in "
                f"them, or the merged tree {name}"
            )
        if name not in found:
            other = min(found)
            raise InputError(
                f"--{name} {root}: has the discs of {other.upper()}, not of {name.upper()}; that folder is for "
                f"--{other}"
            )
    return Discs(roots)
