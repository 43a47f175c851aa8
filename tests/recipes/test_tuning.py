"""The search over settings, through the recipe's script, on synthetic speech."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).resolve().parents[2] / "egs/speechocean762/run.sh"
TINY = """--conv_channels 4 --lstm_layers 1 --lstm_size 8 --vq_codebook_size 16 --vq_code_dim 8 --chunk_frames 32
--batch_size 6 --max_updates 4 --validate_every 4 --lr_milestones 3"""


@pytest.fixture
def search(speech_dump, tmp_path):
    """A function that runs the search for some variants with more options; it leaves `results` and `exp`."""
    recipe = tmp_path / "egs/speechocean762"
    shutil.copytree(RECIPE.parent, recipe, ignore=shutil.ignore_patterns("exp", "dump", "data", "results", "downloads"))
    (tmp_path / "utils").symlink_to(RECIPE.parents[2] / "utils")
    # One setting of `none` is enough to run everything; the other is not one of its own.
    (recipe / "conf/tune.txt").write_text("# made\nlr all --learning_rate 0.02\ninit vanilla --vq_codebook_init 1\n")
    shutil.copytree(speech_dump, tmp_path / "dump")
    from vqbn.bin.split_speakers import main

    assert main(["--dump", str(tmp_path / "dump")]) == 0

    def run(variants):
        # As in an active environment: there is nothing to set up.
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        options = ["--stage", "3", "--tune", "true", "--variants", variants, "--dumpdir", "dump", "--expdir", "exp"]
        return subprocess.run(
            [recipe / "run.sh", *options, "--results_name", "made", "--train_options", TINY.replace("\n", " ")],
            cwd=tmp_path,
            env=dict(os.environ, OMP_NUM_THREADS="1", PATH=path),
            capture_output=True,
            text=True,
            timeout=300,
        )

    run.results = recipe / "results/made/tuning"
    run.exp = tmp_path / "exp"
    return run


def test_each_setting_of_a_variant_is_tried_once_and_the_best_is_printed(search):
    first = search("none")
    assert first.returncode == 0, first.stdout + first.stderr
    assert [path.name for path in search.results.iterdir()] == ["none-lr_seed1.json"]
    assert "| `none` | **" in first.stdout
    assert "\nnone: " in first.stdout

    # Where results files are, nothing is trained, decoded or scored again.
    shutil.rmtree(search.exp)
    before = {path: path.stat().st_mtime_ns for path in search.results.iterdir()}
    second = search("none")
    assert second.returncode == 0, second.stdout + second.stderr
    assert second.stdout[second.stdout.index("| variant") :].split("\n\n")[0] in first.stdout
    assert {path: path.stat().st_mtime_ns for path in search.results.iterdir()} == before
