"""Trained runs for the commands that come after training."""

from pathlib import Path

import pytest

SMALL = {
    "conv_channels": 4,
    "lstm_layers": 1,
    "lstm_size": 16,
    "vq_codebook_size": 16,
    "vq_code_dim": 8,
    "learning_rate": 0.01,
    "batch_size": 6,
    "chunk_frames": 48,
    "max_updates": 30,
    "polyak_decay": 0.8,
    "validate_every": 10,
}

VARIANTS = {
    "bn_reest_lr": {
        "vq_normalization": "batch",
        "codebook_learning_rate": 0.05,
        "reestimation": "true",
        "reestimation_start": 6,
        "reestimation_every": 5,
        "reestimation_until": 16,
    },
    "none": {"bottleneck": "linear"},
}


@pytest.fixture(scope="session")
def trained_runs(speech_dump, tmp_path_factory) -> Path:
    """A folder with bn_reest_lr_seed1/ and none_seed1/, small and half trained on `speech_dump`. Read-only."""
    from vqbn.bin.train import main

    folder = tmp_path_factory.mktemp("exp")
    for variant, changes in VARIANTS.items():
        options = [word for key, value in (SMALL | changes).items() for word in (f"--{key}", str(value))]
        options += ["--dump", str(speech_dump), "--expdir", str(folder / f"{variant}_seed1")]
        assert main(["--task", "recognition", *options]) == 0
    return folder


@pytest.fixture(scope="session")
def decoded_runs(trained_runs, speech_dump, tmp_path_factory) -> Path:
    """A copy of `trained_runs` with both sets decoded. Read-only."""
    import shutil

    from vqbn.bin.decode import main

    folder = tmp_path_factory.mktemp("decoded") / "exp"
    shutil.copytree(trained_runs, folder)
    for run in folder.iterdir():
        for name in ("dev", "train"):
            assert main(["--expdir", str(run), "--dump", str(speech_dump), "--set", name]) == 0
    return folder
