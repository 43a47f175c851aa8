"""Results files: what stays of a finished run, tracked in git, enough to make the report without `exp/`.

`results/<data>/<name>_seed<N>.json` holds one `Result`. A run is done when a file with its configuration's hash is
there. Files are checked when they are read, so that a damaged or foreign one is named and doesn't end up in a table.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import write_text

FORMAT = "vqbn result 1"

# What a score is called: per, uniform_nelbo, ...; each task has its own.
SCORE = re.compile(r"[a-z][a-z0-9_]*")

SPEAKER = ("edits", "reference_length", "edits_nosil", "reference_length_nosil")


@dataclass(frozen=True)
class Result:
    """One finished run.

    Attributes:
        name: the variant, plus each key changed from its files (`bn_reest_lr-K512`).
        variant: the configuration file's variant, a row of the paper's table.
        seed: the training's seed.
        data: what it was trained and scored on, in words, the label of its rows.
        command: the command line that trained it.
        commit: the git commit of the code that trained it.
        config_hash: the hash of the settings that decide the result.
        config: those settings.
        update: the update whose model was decoded.
        checkpoint: which one that is: `best`, `last` or a file's name.
        scores: set → score → number; only those that apply.
        speakers: set → speaker → counts of tokens, the keys of `SPEAKER`.
        usage: set → (num_codebooks, K) counts of each code; no sets for a run without codes.
        curve: one object per evaluation during training: `update`, `dev_per`, `perplexity`, `codeword_norm`, ...
        task: what was trained; "" in files from before there were tasks.
    """

    name: str
    variant: str
    seed: int
    data: str
    command: str
    commit: str
    config_hash: str
    config: dict
    update: int
    checkpoint: str
    scores: dict[str, dict[str, float]]
    speakers: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    usage: dict[str, list[list[int]]] = field(default_factory=dict)
    curve: list[dict] = field(default_factory=list)
    task: str = ""

    @property
    def filename(self) -> str:
        return f"{self.name}_seed{self.seed}.json"


def write_result(folder: str | os.PathLike, result: Result) -> Path:
    """Write `folder/<name>_seed<N>.json`, whole or not at all; an older file of the same configuration is replaced.

    Raises:
        InputError: `result` breaks the schema (a score that is not a number, say), or the file holds a run with another
            configuration.
        OSError: the file can't be written.
    """
    path = Path(folder) / result.filename
    content = lay_out(checked(result, path))
    check_same_run(path, result.config_hash, result.config)
    write_text(path, content)
    return path


def check_same_run(path: Path, config_hash: str, config: Mapping[str, object]) -> None:
    """Check that a results file, where there is one, may be replaced: it is of a run with the same configuration.

    Args:
        path: the file.
        config_hash: the hash of the run that would replace it.
        config: the settings of that run which decide its result.

    Raises:
        InputError: it is of another run; names the first settings that differ. Or it is malformed.
    """
    kept = read_result(path) if path.exists() else None
    if kept is None or kept.config_hash == config_hash:
        return
    differing = [key for key in kept.config | config if kept.config.get(key) != config.get(key)]
    # A key that only one of them has is mostly one that the other's version did not know.
    differing.sort(key=lambda key: key not in kept.config or key not in config)
    first = ", ".join(f"{key}: {kept.config.get(key)} (here {config.get(key)})" for key in differing[:3])
    more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
    raise InputError(
        f"{path}: holds a run with another configuration: {first or 'hash ' + kept.config_hash}{more}; give this run "
        "another name (run.sh --tag NAME), or remove that file"
    )


def checked(result: Result, source: str | os.PathLike) -> dict:
    """What a results file of `result` holds.

    Args:
        result: from anywhere.
        source: the file or folder that it is from, or for, for the message.

    Raises:
        InputError: it breaks the schema.
    """
    content = {"format": FORMAT, **asdict(result)}
    check(content, Path(source))
    return content


def read_result(path: str | os.PathLike) -> Result:
    """Read one results file.

    Raises:
        InputError: it is not JSON, not a results file, breaks the schema, or its name is not its run's.
        OSError: it can't be read.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: refuse(path, name))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not a results file: {error}; restore it, or remove it and score again") from None
    check(content, path)
    result = Result(**{f.name: content[f.name] for f in fields(Result) if f.name in content})
    if path.name != result.filename:
        raise InputError(
            f"{path}: holds the run {result.filename.removesuffix('.json')!r}, expected the file to be named "
            f"{result.filename!r}; rename it, or remove it if it is a copy"
        )
    return result


def read_results(folder: str | os.PathLike) -> list[Result]:
    """Read every results file of a folder, sorted by name and seed.

    Raises:
        InputError: the folder is not there or a file in it is no results file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected results files (<name>_seed<N>.json)")
    return sorted(map(read_result, folder.glob("*.json")), key=lambda result: (result.name, result.seed))


def find_result(folder: str | os.PathLike, config_hash: str) -> Path | None:
    """The file of the finished run with this configuration, or None; None too where there is no such folder."""
    if not Path(folder).is_dir():
        return None
    for result in read_results(folder):
        if result.config_hash == config_hash:
            return Path(folder) / result.filename
    return None


def check(content: object, path: Path) -> None:
    """Raise InputError, naming the file and the key, unless `content` is a results file's."""

    def expect(holds: bool, key: str, found: object, expected: str) -> None:
        if not holds:
            text = repr(found)
            text = text if len(text) <= 60 else text[:57] + "..."
            raise InputError(
                f"{path}: key {key!r}: found {text}, expected {expected}; restore the file, or score the run again"
            )

    def each(value: object, key: str, check_item: Callable[[object, str], None]) -> None:
        expect(isinstance(value, dict), key, value, "an object")
        for name, item in value.items():
            check_item(item, f"{key}.{name}")

    def is_number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    def is_count(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0

    def check_score(value: object, key: str) -> None:
        expect(bool(SCORE.fullmatch(key.rsplit(".", 1)[1])), key, value, "a score's name, in lower case, as key")
        expect(is_number(value), key, value, "a finite number")

    def check_speaker(value: object, key: str) -> None:
        expect(isinstance(value, dict) and set(value) == set(SPEAKER), key, value, f"the keys {', '.join(SPEAKER)}")
        each(value, key, lambda count, name: expect(is_count(count), name, count, "a count"))

    def check_usage(value: object, key: str) -> None:
        expect(isinstance(value, list) and value != [], key, value, "a list of counts for each codebook")
        for i, row in enumerate(value):
            holds = isinstance(row, list) and all(map(is_count, row)) and len(row) == len(value[0])
            expect(holds, f"{key}.{i}", row, "counts, as many for each codebook")

    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path}: not a results file: found format {found!r}, expected {FORMAT!r}; move it elsewhere")
    for key in (f.name for f in fields(Result) if f.name != "task"):
        expect(key in content, key, "nothing", "it in a results file")
    for key in content.keys() - {f.name for f in fields(Result)} - {"format"}:
        expect(False, key, content[key], "no such key")
    for key in ("name", "variant", "data", "command", "commit", "config_hash", "checkpoint"):
        expect(isinstance(content[key], str) and content[key] != "", key, content[key], "text")
    expect(isinstance(content.get("task", ""), str), "task", content.get("task"), "text")
    for key in ("seed", "update"):
        expect(is_count(content[key]), key, content[key], "a whole number from 0")
    expect(isinstance(content["config"], dict), "config", content["config"], "an object")
    each(content["scores"], "scores", lambda scores, key: each(scores, key, check_score))
    expect(content["scores"] != {}, "scores", content["scores"], "the scores of at least one set")
    each(content["speakers"], "speakers", lambda speakers, key: each(speakers, key, check_speaker))
    each(content["usage"], "usage", check_usage)
    expect(isinstance(content["curve"], list), "curve", content["curve"], "a list of evaluations")
    for i, point in enumerate(content["curve"]):
        holds = isinstance(point, dict) and is_count(point.get("update"))
        expect(holds, f"curve.{i}", point, "an object with a whole number 'update'")
        for key, value in point.items():
            holds = value is None or isinstance(value, bool) or is_number(value)
            expect(holds, f"curve.{i}.{key}", value, "a finite number, true, false or null")


def refuse(path: Path, name: str) -> None:
    """Called for the constants that Python's JSON reader takes and JSON does not have."""
    raise InputError(f"{path}: not a results file: holds {name}, expected finite numbers; remove it and score again")


def lay_out(content: Mapping) -> str:
    """`content` as JSON with one line per item of the second level, so that differences between files stay readable."""
    parts = []
    for key, value in content.items():
        if isinstance(value, dict) and value:
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in value.items())
            parts.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        elif isinstance(value, list) and value:
            inner = ",\n".join(f"  {json.dumps(item, allow_nan=False)}" for item in value)
            parts.append(f" {json.dumps(key)}: [\n{inner}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
