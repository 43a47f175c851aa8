"""Small JSON files between the stages: written whole, checked when read."""

import json
from collections.abc import Mapping
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import write_text


def write_record(path: str | Path, content: Mapping[str, object]) -> None:
    """Write an object as JSON with one key per line.

    Raises:
        ValueError: a number is not finite.
        OSError: the file can't be written.
    """
    lines = (f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_record(path: str | Path, expected: Mapping[str, type], remedy: str) -> dict[str, object]:
    """Read an object that has at least the expected keys.

    Args:
        path: the file.
        expected: key → type of its value.
        remedy: what to do where the file is missing or unusable, for the message.

    Raises:
        InputError: the file is missing or is not a JSON object with these keys and types.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; {remedy}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not JSON: {error}; {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, expected an object; {remedy}")
    for key, kind in expected.items():
        value = content.get(key)
        kinds = (int, float) if kind is float else kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{path}: key {key!r}: found {value!r}, expected {kind.__name__}; {remedy}")
    return content
