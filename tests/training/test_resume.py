"""The whole training command, killed and started again."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


@pytest.mark.parametrize(
    ("moments", "changes"),
    [(TEN_MOMENTS, {}), (["forward:12", "clustering:18"], {"vq_update": "ema", "polyak_decay": 0, "max_updates": 20})],
    ids=["ten moments", "moving averages"],
)
def test_a_killed_run_ends_bit_for_bit_as_one_that_was_not(tiny_options, tmp_path, moments, changes):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    run(tiny_options(**changes), whole, killed, moments)
    for name in ("last", "best"):
        a, b = (torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True) for run_dir in (killed, whole))
        assert a["recognizer"]["update"] == b["recognizer"]["update"]
        parts = {"state_dict", "optimizer_states", "lr_schedulers", "callbacks", "rng"}
        for part in parts | ({"current_model_state"} if "polyak_decay" not in changes else set()):
            assert differences(a[part], b[part], part) == []
    assert a["recognizer"]["update"] > 0
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (killed / "curve.jsonl").read_text() == (whole / "curve.jsonl").read_text()
    assert len((killed / "curve.jsonl").read_text().splitlines()) == changes.get("max_updates", 40) // 10
