"""Every results file that the recipes keep still counts as done: its settings have the hash that it was kept under."""

import hashlib
import json
from pathlib import Path

import pytest

from vqbn.runs.config import configuration_hash
from vqbn.runs.results import find_result, read_results
from vqbn.tasks import TASKS, find_task, task_of_results

EGS = Path(__file__).resolve().parents[2] / "egs"
FOLDERS = sorted({path.parent for path in EGS.glob("*/results/**/*_seed*.json")})
TASK = {"speechocean762": "recognition", "wsj": "recognition", "scribblelens": "handwriting", "cifar10": "images"}


def test_there_are_some_of_each_task():
    assert {TASK[folder.relative_to(EGS).parts[0]] for folder in FOLDERS} == set(TASKS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(EGS)))
def test_the_settings_have_their_hash(folder):
    results = read_results(folder)
    task = find_task(TASK[folder.relative_to(EGS).parts[0]])
    assert task_of_results(results, str(folder)) is task
    for result in results:
        if "espnet2" in result.name.split("-"):
            text = json.dumps(result.config, sort_keys=True)
            assert hashlib.sha256(text.encode()).hexdigest()[:12] == result.config_hash, result.filename
        else:
            config = {key.name: result.config.get(key.name, key.default) for key in task.keys}
            assert configuration_hash(config, task.keys) == result.config_hash, result.filename
    assert find_result(folder, results[-1].config_hash) is not None
