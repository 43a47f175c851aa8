"""The image recipe through its shell script, on the mini corpus, and what it says of bad options."""

import json
import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
SHORT = "--channels 8 --residual_channels 8 --max_updates 12 --validate_every 6 --reestimation_start 5"
SHORT += " --reestimation_until 5 --vq_reservoir_size 512 --batch_size 8"


def run(*arguments: str, cwd: Path = TOP) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    command = [str(TOP / "egs/cifar10/run.sh"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=400)


def test_mini_recipe_ends_with_scores_pictures_and_a_report(tmp_path):
    result = run("--data", "mini", "--expdir", "exp", "--train_options", SHORT, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert all(f"stage {number}:" in result.stdout for number in range(7))
    assert [path.name for path in tmp_path.iterdir()] == ["exp"]
    assert (tmp_path / "exp" / "data" / "train.npy").exists()
    report = (tmp_path / "exp" / "RESULTS.md").read_text()
    run_folder = tmp_path / "exp" / "bn_reest_lr-8x128_seed1"
    scores = json.loads((run_folder / "scores.json").read_text())["test"]
    assert scores["uniform_nelbo"] == pytest.approx(scores["reconstruction_bpd"] + 8 * 7 * 64 / 3072)
    assert 0 < scores["reconstruction_bpd"] < 9
    assert f"{scores['uniform_nelbo']:.4f}" in report
    assert (run_folder / "images" / "reconstructions_test.png").exists()
    assert "nelbo_8x128.png" in report


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "nowhere", "--stop_stage", "0"), "nowhere"),
        (("--data", "mini", "--variants", "none"), "conf/train_none.yaml"),
        (("--data", "mini", "--bottlenecks", "8x129"), "conf/8x129.yaml"),
        (("--data", "mini", "--lstm_layers", "3"), "unknown option --lstm_layers"),
    ],
)
def test_bad_options_end_with_one_line(arguments, said, tmp_path):
    result = run("--datadir", str(tmp_path / "data"), "--expdir", str(tmp_path / "exp"), *arguments)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in result.stderr


def test_partial_images_need_to_be_allowed(real_data, tmp_path):
    chosen = ("--data", str(real_data / "cifar10-partial"), "--datadir", "data", "--stop_stage", "0")
    result = run(*chosen, cwd=tmp_path)
    assert result.returncode == 1
    assert "--allow_partial" in result.stderr
    result = run(*chosen, "--allow_partial", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "data" / "images.json").read_text())["partial"] is True
