"""Stages 4 and 5 of the speech recipes, of runs whose results file is all there is of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqbn.runs.config import configuration_hash, decisive, parse_arguments
from vqbn.runs.results import Result, write_result
from vqbn.tasks.recognition.task import RECOGNITION

UTILS = Path(__file__).resolve().parents[2] / "utils"
SCRIPT = f"""
set -euo pipefail
. {UTILS}/recipe.sh
. {UTILS}/speech.sh
expdir=exp dumpdir=dump results=results tag='' eval_sets=dev data_label=made decode_arguments=() score_arguments=()
train_config='' train_arguments=(--dump dump) ngpu=0 train_options=${{TRAIN_OPTIONS:-}}
"$@" bn 1
"""


@pytest.fixture
def recipe(tmp_path):
    """A function that runs a function of utils/speech.sh in a folder whose local scripts only say their names."""
    scripts = {"decode": "echo called decode.sh", "score": "echo called score.sh"}
    scripts["vqbn-train"] = f'exec "{sys.executable}" -m vqbn.bin.train "$@"'
    for script, line in scripts.items():
        path = tmp_path / "local" / (script if "-" in script else f"{script}.sh")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    (tmp_path / "results").mkdir()
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/train_bn.yaml").write_text("task: recognition\nvq_normalization: batch\n")
    (tmp_path / "exp/bn_seed1").mkdir(parents=True)
    (tmp_path / "exp/bn_seed1/command.txt").write_text("run.sh\n")

    def run(function, train_options=""):
        path = f"{tmp_path / 'local'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", SCRIPT, "recipe", function],
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "TRAIN_OPTIONS": train_options},
            capture_output=True,
            text=True,
            check=False,
        )

    run.folder = tmp_path
    return run


def keep(folder):
    """Write the results file of the recipe's run."""
    argv = ["--config", str(folder / "conf/train_bn.yaml"), "--dump", "dump", "--expdir", "exp", "--seed", "1"]
    config = parse_arguments(argv, "vqbn-train", "Train.", RECOGNITION.keys)
    settings = decisive(config, RECOGNITION.keys)
    about = ("bn", "bn", 1, "made", "run.sh", "0", configuration_hash(config, RECOGNITION.keys), settings)
    write_result(folder / "results", Result(*about, 10, "best", {"dev": {"per": 50.0}}))


@pytest.mark.parametrize(("function", "script"), [("decode_run", "decode.sh"), ("score_run", "score.sh")])
def test_a_run_kept_in_results_alone_is_left_as_it_is(recipe, function, script):
    assert f"called {script}" in recipe(function).stdout
    keep(recipe.folder)
    said = recipe(function)
    assert "bn_seed1 is done already: results/bn_seed1.json" in said.stdout, said.stderr
    assert "called" not in said.stdout
    # With checkpoints there is something to decode again.
    (recipe.folder / "exp/bn_seed1/checkpoints").mkdir()
    assert f"called {script}" in recipe(function).stdout


@pytest.mark.parametrize("function", ["decode_run", "score_run"])
def test_a_results_file_of_another_configuration_is_not_taken_for_the_run(recipe, function):
    keep(recipe.folder)
    said = recipe(function, "--vq_codebook_size 512")
    assert said.returncode == 1
    assert said.stdout == ""
    (error,) = said.stderr.splitlines()
    assert "results/bn_seed1.json: holds a run with another configuration: vq_codebook_size: 2048 (here 512)" in error
    assert "--tag" in error
