"""The whole training command, killed and started again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from vqbn.bin.train import main
from vqbn.errors import InputError
from vqbn.nets.ctc import ctc_loss
from vqbn.runs.checkpoint import read_checkpoint
from vqbn.tasks.recognition import training as recognition

TEN_MOMENTS = [
    "forward:2",  # before there is a checkpoint
    "saving:4",  # half of the first one written
    "clustering:6",  # for update 7, the first with codes
    "best:10",  # best.ckpt is there, last.ckpt is not
    "stepped:15",  # between the optimiser's step and the averaging
    "saved:16",  # right after a checkpoint
    "evaluation:20",
    "saving:24",
    "curve:30",  # evaluated, nothing of it kept
    "evaluation:40",  # after the last update
]


def run(options, whole, killed, moments):
    """Train into two folders, one without and one with interruptions."""
    script = Path(__file__).with_name("killed_run.py")
    command = [sys.executable, str(script), str(whole), str(killed), *moments, "--", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*(f"{moment} -9" for moment in moments), "None 0", "whole 0"], done.stderr


def differences(value, other, where=""):
    """Names of what is not equal, bit for bit, in two checkpoints."""
    if isinstance(value, torch.Tensor):
        return [] if torch.equal(value, other) else [where]
    if isinstance(value, dict):
        keys = [where + " keys"] if value.keys() != other.keys() else []
        return keys + [d for k in value.keys() & other.keys() for d in differences(value[k], other[k], f"{where}/{k}")]
    if isinstance(value, (list, tuple)):
        pairs = enumerate(zip(value, other, strict=True))
        return [d for i, (x, y) in pairs for d in differences(x, y, f"{where}/{i}")]
    return [] if value == other else [where]


def assert_equal_runs(run_dir, other, updates):
    assert_same_ends(run_dir, other)
    assert read_checkpoint(run_dir / "checkpoints" / "last.ckpt")["recognizer"]["update"] == updates
    assert sorted(path.name for path in (run_dir / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert len((run_dir / "curve.jsonl").read_text().splitlines()) == updates // 10


def assert_same_ends(run_dir, other):
    for name in ("last", "best"):
        a, b = (torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for folder in (run_dir, other))
        # What is left out counts Lightning's own starts and stops.
        for part in a.keys() & {"state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "rng"}:
            assert differences(a[part], b[part], part) == []
        assert differences(a["callbacks"], b["callbacks"]) == []
        assert a["recognizer"]["update"] == b["recognizer"]["update"] > 0
    assert (run_dir / "curve.jsonl").read_text() == (other / "curve.jsonl").read_text()


def test_a_run_killed_at_ten_moments_ends_bit_for_bit_as_one_that_was_not(tiny_options, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    run(tiny_options(), whole, killed, TEN_MOMENTS)
    assert_equal_runs(killed, whole, 40)


@pytest.mark.parametrize(
    "changes",
    [
        {"vq_update": "ema", "polyak_decay": 0},
        {"vq_num_codebooks": 2, "latent_mixer": "true", "num_workers": 1},
        {"bottleneck": "linear", "reestimation": "false"},
    ],
    ids=["moving averages", "two codebooks", "no bottleneck"],
)
def test_so_does_every_kind_of_run(tiny_options, tmp_path, monkeypatch, changes):
    options = tiny_options(**changes, max_updates=20)
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    assert main([*options, "--expdir", str(whole)]) == 0
    forwards = iter(range(1, 100))

    def fail(*arguments):
        if next(forwards) == 15:
            raise InputError("power cut")
        return ctc_loss(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(recognition, "ctc_loss", fail)
        assert main([*options, "--expdir", str(stopped)]) == 1
    # The last checkpoint, of update 12, is in the middle of an epoch and between two clusterings.
    assert read_checkpoint(stopped / "checkpoints" / "last.ckpt")["recognizer"]["update"] == 12
    assert main([*options, "--expdir", str(stopped)]) == 0
    assert_equal_runs(stopped, whole, 20)


def test_a_finished_run_that_goes_on_ends_as_one_that_went_through(tiny_options, tmp_path, capsys):
    # 15 is no update that is evaluated otherwise; the clusterings and step sizes end with it.
    options = tiny_options(max_updates=15, lr_milestones=[12], reestimation_until="end")
    longer, whole = tmp_path / "longer", tmp_path / "whole"
    assert main([*options, "--expdir", str(longer)]) == 0
    assert main([*options, "--expdir", str(longer), "--continue_to", "20"]) == 0
    assert main([*options, "--expdir", str(longer), "--continue_to", "30"]) == 0
    assert main([*options, "--expdir", str(whole), "--continue_to", "30"]) == 0
    assert_same_ends(longer, whole)
    curve = [json.loads(line) for line in (longer / "curve.jsonl").read_text().splitlines()]
    assert [point["update"] for point in curve] == [10, 15, 20, 30]
    assert curve[-1]["lr"] == 0.005
    assert (longer / "train.log").read_text().count("clustered ") == 2
    config = yaml.safe_load((longer / "config.yaml").read_text())
    assert [config[key] for key in ("max_updates", "continue_to", "reestimation_until")] == [15, 30, 15]
    # It does not go back.
    assert main([*options, "--expdir", str(longer), "--continue_to", "20"]) == 1
    assert "trained with continue_to: 30, not 20" in capsys.readouterr().err
    assert main([*options, "--expdir", str(longer), "--max_updates", "40"]) == 1
    assert "--continue_to N" in capsys.readouterr().err
