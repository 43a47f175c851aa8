"""A model in one folder, to be given away: config.json, model.safetensors and README.md, as model hubs expect them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vqbn.errors import InputError
from vqbn.files import replacing, write_text
from vqbn.version import __version__

# Raised when a folder is written that earlier versions would misread.
FORMAT = 1
CONFIG, WEIGHTS, CARD = FILES = ("config.json", "model.safetensors", "README.md")
# Key of config.json → type of its value.
ABOUT = {"task": str, "config": dict, "model": dict, "front_end": dict, "training": dict}
# Before the names of what the front end needs of tensors: CMVN statistics, say.
FRONT_END = "front_end."


@dataclass(frozen=True)
class ModelFolder:
    """What such a folder holds.

    Attributes:
        path: the folder.
        about: `task`; `config`, the settings that decide the model; `model`, what else describes it; `front_end`, how
            its input is made; `training`, where it comes from.
        state: the model's parameters and buffers.
        arrays: tensors of the front end.
    """

    path: Path
    about: dict[str, object]
    state: dict[str, Tensor]
    arrays: dict[str, Tensor]


def write_model_folder(
    path: str | Path, about: Mapping[str, object], state: Mapping[str, Tensor], arrays: Mapping[str, Tensor], card: str
) -> None:
    """Write the three files; the folder appears whole, in the place of an older one.

    Args:
        path: the folder.
        about: with the keys of `ABOUT`.
        state: the model's parameters and buffers.
        arrays: tensors of the front end.
        card: README.md.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written; what was there is untouched.
    """
    path = Path(path)
    others = sorted(file.name for file in path.iterdir() if file.name not in FILES) if path.is_dir() else []
    if others:
        raise InputError(f"{path}: holds {others[0]!r}, which is no part of a model; give another folder")
    head = {"library_name": "vqbn", "format": FORMAT, "vqbn_version": __version__}
    tensors = dict(state) | {FRONT_END + name: value for name, value in arrays.items()}
    # Names that share memory would be refused: each gets its own.
    owned = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with replacing(path) as temporary:
        temporary.mkdir()
        write_text(temporary / CONFIG, json.dumps(head | dict(about), indent=1, ensure_ascii=False) + "\n")
        # By way of memory: its own writing makes a file that only its owner may read.
        (temporary / WEIGHTS).write_bytes(save(owned))
        write_text(temporary / CARD, card)


def read_model_folder(path: str | Path) -> ModelFolder:
    """Read what `write_model_folder` wrote, executing nothing of it.

    Raises:
        InputError: a file is missing, damaged, of a newer format, or of something else.
    """
    path = Path(path)
    source = path / CONFIG
    try:
        about = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{source}: can't be read: {reason}; expected a folder of vqbn-export") from error
    if not isinstance(about, dict) or about.get("library_name") != "vqbn":
        raise InputError(f"{source}: not that of a vqbn model; expected a folder of vqbn-export")
    if not isinstance(about.get("format"), int) or about["format"] > FORMAT:
        raise InputError(
            f"{source}: format {about.get('format')}, written by vqbn {about.get('vqbn_version')}; this is vqbn "
            f"{__version__}, which reads formats up to {FORMAT}: update vqbn"
        )
    for key, kind in ABOUT.items():
        if not isinstance(about.get(key), kind):
            found = str(about.get(key))[:60]
            raise InputError(f"{source}: key {key!r}: found {found}, expected {kind.__name__}; export the model again")
    try:
        tensors = load_file(path / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path / WEIGHTS}: missing or damaged ({error}); copy the folder again") from error
    arrays = {name.removeprefix(FRONT_END): value for name, value in tensors.items() if name.startswith(FRONT_END)}
    state = {name: value for name, value in tensors.items() if not name.startswith(FRONT_END)}
    return ModelFolder(path, about, state, arrays)
