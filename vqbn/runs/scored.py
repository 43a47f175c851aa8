"""A finished run's folder as a `Result`."""

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import locked
from vqbn.metrics.evaluation import Evaluation
from vqbn.runs.config import configuration_hash, decisive, recorded_config
from vqbn.runs.decoding import ABOUT, output_folder
from vqbn.runs.records import read_record, write_record
from vqbn.runs.results import Result, checked
from vqbn.runs.task import Task

logger = logging.getLogger(__name__)

RUN = re.compile(r"(?P<name>.+)_seed(?P<seed>\d+)")
SCORE_AGAIN = "score the set again (stage 5)"


def write_scores(expdir: str | Path, evaluations: Mapping[str, Evaluation], command: str = "") -> None:
    """Write `scores.json`, keeping the sets that are there, and `details.json` into each set's decoding.

    Args:
        expdir: the run's folder.
        evaluations: set → what its scoring found.
        command: the command line that trained the run, kept for the report.

    Raises:
        InputError: an older `scores.json` is not an object.
        OSError: a file can't be written.
    """
    path = Path(expdir) / "scores.json"
    scores = read_record(path, {}, "remove it and score again") if path.exists() else {}
    for set_name, evaluation in evaluations.items():
        details = {
            "command": command,
            "speakers": evaluation.speakers,
            "usage": evaluation.usage,
            "utterances": {
                utt: [e.substitutions, e.deletions, e.insertions, e.reference_length]
                for utt, e in evaluation.utterances.items()
            },
        }
        folder = output_folder(expdir, set_name)
        with locked(folder, beside=True):
            write_record(folder / "details.json", details)
        scores[set_name] = evaluation.scores
    write_record(path, scores)


def collect_run(
    expdir: str | Path,
    data: str,
    config: Mapping[str, object],
    config_hash: str,
    commit: str,
    command: str = "",
    task: str = "",
) -> Result:
    """Everything about a scored run that its results file keeps.

    Sets whose decoding is of another update than the first set's are left out, with a warning.

    Args:
        expdir: the run's folder, `<name>_seed<N>`.
        data: what it was trained and scored on, in words.
        config: the settings that decide its result, `seed` among them.
        config_hash: their hash.
        commit: the git commit of the code that trained it.
        command: the command line that trained it; empty: what scoring was told, else the one that repeats it.
        task: what was trained.

    Raises:
        InputError: the folder's name is not a run's, its seed is another than the configuration's, or a file is
            missing or malformed.
    """
    expdir = Path(expdir)
    match = RUN.fullmatch(expdir.absolute().name)
    if not match:
        raise InputError(f"{expdir}: found a folder of this name, expected <name>_seed<N>, such as bn_seed1; rename it")
    if int(match["seed"]) != config["seed"]:
        raise InputError(
            f"{expdir}: its name says seed {match['seed']}, its config.yaml seed {config['seed']}; rename the folder"
        )
    scores = read_record(expdir / "scores.json", {}, SCORE_AGAIN)
    if not scores:
        raise InputError(f"{expdir / 'scores.json'}: holds no set; {SCORE_AGAIN}")
    kept, speakers, usage, about = {}, {}, {}, {}
    for set_name in scores:
        folder = output_folder(expdir, set_name)
        decoding = read_record(folder / "decode.json", ABOUT, "decode the set again (stage 4)")
        about = about or decoding
        if decoding["update"] != about["update"]:
            logger.warning(
                "%s: left out: decoded with update %d, the other sets with %d; decode it again",
                folder,
                decoding["update"],
                about["update"],
            )
            continue
        details = read_record(folder / "details.json", {"speakers": dict, "command": str}, SCORE_AGAIN)
        kept[set_name] = scores[set_name]
        speakers[set_name] = details["speakers"]
        if details.get("usage"):
            usage[set_name] = details["usage"]
        command = command or details["command"]
    result = Result(
        name=match["name"],
        # Changed keys follow the variant after a hyphen: bn_reest_lr-K512.
        variant=match["name"].partition("-")[0],
        seed=config["seed"],
        data=data,
        command=command or f"vqbn-train{f' --task {task}' if task else ''} --config {expdir / 'config.yaml'}",
        commit=commit,
        config_hash=config_hash,
        config=dict(config),
        update=about["update"],
        checkpoint=about["checkpoint"],
        scores=kept,
        speakers=speakers,
        usage=usage,
        curve=read_curve(expdir / "curve.jsonl"),
        task=task,
    )
    checked(result, expdir)
    return result


def finished_run(expdir: str | Path, task: Task, data: str, command: str = "") -> Result:
    """A scored run's folder as a `Result`, its configuration read from config.yaml; as `collect_run` otherwise."""
    config, commit = recorded_config(Path(expdir) / "config.yaml", task.keys)
    config_hash = configuration_hash(config, task.keys)
    return collect_run(expdir, data, decisive(config, task.keys), config_hash, commit, command, task.name)


def read_curve(path: Path) -> list[dict]:
    """The evaluations during training, one JSON object with an `update` per line; none where the file is not there.

    Raises:
        InputError: a line is something else.
    """
    if not path.exists():
        return []
    points = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            point = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not JSON: {error}; train the run again (stage 3)") from error
        if not isinstance(point, dict) or not isinstance(point.get("update"), int):
            raise InputError(f"{path}:{number}: found {line[:60]!r}, expected an object with a whole number 'update'")
        points.append(point)
    return points
