"""A configuration that trains in a second."""

import shutil
from pathlib import Path

import pytest

# Fifteen chunks of 32 frames in an epoch: it is left in the middle again and again.
TINY = {
    "conv_channels": 4,
    "lstm_layers": 1,
    "lstm_size": 8,
    "vq_codebook_size": 8,
    "vq_code_dim": 8,
    "vq_normalization": "batch",
    "vq_reservoir_size": 150,
    "reestimation": "true",
    "reestimation_start": 7,
    "reestimation_every": 6,
    "reestimation_until": 36,
    "codebook_learning_rate": 0.02,
    "learning_rate": 0.01,
    "batch_size": 5,
    "chunk_frames": 32,
    "max_updates": 40,
    "lr_milestones": [20, 30],
    "polyak_decay": 0.9,
    "validate_every": 10,
    "checkpoint_every": 4,
    "log_every": 20,
}


@pytest.fixture(scope="session")
def tiny_options(speech_dump):
    """A function from changed keys to the options of vqbn-train, without --expdir."""

    def options(**changes):
        argv = ["--dump", str(speech_dump)]
        for key, value in (TINY | changes).items():
            argv += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
        return argv

    return options


@pytest.fixture(scope="session")
def trained_run(tiny_options, tmp_path_factory) -> Path:
    """The folder of a finished run; read-only."""
    from vqbn.bin.train import main

    folder = tmp_path_factory.mktemp("exp") / "tiny_seed1"
    assert main([*tiny_options(), "--expdir", str(folder)]) == 0
    return folder


@pytest.fixture
def run_copy(trained_run, tmp_path) -> Path:
    """A copy of that folder, free to damage."""
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"
