"""Where packed images are from, and what results on them are called."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vqbn.errors import InputError

ABOUT = "images.json"


@dataclass(frozen=True)
class Source:
    """Where packed images are from.

    Attributes:
        name: in words, the label of results: "CIFAR-10".
        partial: whether images are missing, which every result then says.
        files: file → its hash, a record.
    """

    name: str
    partial: bool
    files: Mapping[str, str]

    def label(self, train_images: int) -> str:
        """What results on these images are called."""
        return f"{self.name}{' (partial)' if self.partial else ''}, {train_images:,} training images"


def read_about(folder: str | Path) -> dict[str, object]:
    """What `images.json` says.

    Raises:
        InputError: it is missing or malformed.
    """
    path = Path(folder) / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; prepare the images first (stage 0)") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); prepare the images again (stage 0)") from error
    for key, kind in {"source": str, "partial": bool, "sets": dict, "files": dict}.items():
        if not isinstance(about, dict) or not isinstance(about.get(key), kind):
            raise InputError(
                f"{path}: key {key!r} is missing or no {kind.__name__}; prepare the images again (stage 0)"
            )
    return about


def data_label(folder: str | Path, train_set: str = "train") -> str:
    """What results on a folder of packed images are called; says so where images are missing."""
    about = read_about(folder)
    return Source(about["source"], about["partial"], {}).label(about["sets"].get(train_set, 0))
