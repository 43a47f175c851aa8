"""Stages 4 and 5 of the speech recipes, of runs whose results file is all there is of them."""

import subprocess
from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parents[2] / "utils"
SCRIPT = f"""
set -euo pipefail
. {UTILS}/recipe.sh
. {UTILS}/speech.sh
expdir=exp dumpdir=dump results=results tag='' eval_sets=dev data_label=made decode_arguments=() score_arguments=()
"$@" bn 1
"""


@pytest.fixture
def recipe(tmp_path):
    """A function that runs a function of utils/speech.sh in a folder whose local scripts only say their names."""
    for script in ("decode", "score"):
        path = tmp_path / "local" / f"{script}.sh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho called {script}.sh\n")
        path.chmod(0o755)
    (tmp_path / "results").mkdir()
    (tmp_path / "exp/bn_seed1").mkdir(parents=True)
    (tmp_path / "exp/bn_seed1/command.txt").write_text("run.sh\n")

    def run(function):
        result = subprocess.run(
            ["bash", "-c", SCRIPT, "recipe", function], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return result.stdout

    run.folder = tmp_path
    return run


@pytest.mark.parametrize(("function", "script"), [("decode_run", "decode.sh"), ("score_run", "score.sh")])
def test_a_run_kept_in_results_alone_is_left_as_it_is(recipe, function, script):
    assert f"called {script}" in recipe(function)
    (recipe.folder / "results/bn_seed1.json").write_text("{}")
    said = recipe(function)
    assert "bn_seed1 is done already: results/bn_seed1.json" in said
    assert "called" not in said
    # With checkpoints there is something to decode again.
    (recipe.folder / "exp/bn_seed1/checkpoints").mkdir()
    assert f"called {script}" in recipe(function)
