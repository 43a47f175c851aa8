"""Training of the image autoencoder: the command, interrupted and not."""

import json

import numpy as np
import pytest
import torch

from vqbn.bin.train import main
from vqbn.corpora.image_source import Source
from vqbn.corpora.packed_images import write_packed
from vqbn.errors import InputError
from vqbn.runs.checkpoint import load_run, read_checkpoint
from vqbn.tasks.images.evaluation import evaluate_images
from vqbn.tasks.images.task import IMAGES
from vqbn.tasks.images.training import ImageTraining

TINY = {
    "task": "images",
    "channels": 8,
    "residual_blocks": 1,
    "residual_channels": 4,
    "pixels_per_image": 20,
    "vq_codebook_size": 8,
    "vq_code_dim": 8,
    "vq_num_codebooks": 2,
    "vq_normalization": "batch",
    "vq_reservoir_size": 40,
    "reestimation": "true",
    "reestimation_start": 7,
    "reestimation_every": 6,
    "reestimation_until": 16,
    "codebook_learning_rate": 0.02,
    "learning_rate": 0.01,
    "batch_size": 4,
    "max_updates": 20,
    "polyak_decay": 0.9,
    "validate_every": 10,
    "checkpoint_every": 4,
    "log_every": 10,
    "eval_batch_size": 3,
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("images") / "data"
    colours = rng.integers(0, 256, (18, 2, 2, 3))
    images = np.clip(colours.repeat(4, 1).repeat(4, 2) + rng.integers(-9, 10, (18, 8, 8, 3)), 0, 255).astype(np.uint8)
    write_packed(folder, {"train": images[:11], "dev": images[11:]}, Source("squares", False, {}))
    return folder


@pytest.fixture
def train(packed, tmp_path):
    """A function from changed keys to the command's status; the run's folder is its `expdir`."""

    def run(**changes):
        config = {"images": packed, "expdir": run.expdir} | TINY | changes
        return main([f"--{key}={value}" for key, value in config.items()])

    run.expdir = tmp_path / "run"
    return run


def load(expdir, which="best", averaged=True):
    found = load_run(IMAGES, expdir, which, averaged)
    return found.model, found.about, found.averaged


def test_what_a_run_leaves_behind(train, packed):
    assert train() == 0
    points = [json.loads(line) for line in (train.expdir / "curve.jsonl").read_text().splitlines()]
    assert [point["update"] for point in points] == [10, 20]
    model, about, averaged = load(train.expdir)
    assert averaged
    assert about["update"] == min(points, key=lambda point: point["dev_nelbo"])["update"]
    # What was logged is what the saved weights give, in batches of any size.
    dev = np.load(packed / "dev.npy")
    for size in (1, 7):
        scores = evaluate_images(model, dev, size)
        point = next(point for point in points if point["update"] == about["update"])
        for name, value in scores.items():
            assert point[name] == pytest.approx(value, rel=1e-5), name
    assert "images/s" in (train.expdir / "train.log").read_text()
    assert main(["--config", str(train.expdir / "config.yaml")]) == 0


@pytest.mark.parametrize(
    "changes",
    [{}, {"vq_update": "ema", "polyak_decay": 0, "pixels_per_image": 0}, {"reestimation": "false", "num_workers": 1}],
    ids=["clustered", "moving averages", "workers"],
)
def test_a_stopped_run_ends_bit_for_bit_as_one_that_was_not(train, tmp_path, monkeypatch, changes):
    train.expdir = tmp_path / "whole"
    assert train(**changes) == 0
    train.expdir = tmp_path / "stopped"
    step = ImageTraining.training_step

    def fail(self, batch, batch_idx):
        if self.trainer.global_step == 14:
            raise InputError("power cut")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(ImageTraining, "training_step", fail)
        assert train(**changes) == 1
    assert read_checkpoint(tmp_path / "stopped/checkpoints/last.ckpt", "image_autoencoder")["image_autoencoder"] != 0
    assert train(**changes) == 0
    for which in ("last", "best"):
        whole, stopped = (load(tmp_path / name, which, averaged=False)[0] for name in ("whole", "stopped"))
        for (name, value), other in zip(whole.state_dict().items(), stopped.state_dict().values(), strict=True):
            assert torch.equal(value, other), name
    assert (tmp_path / "whole/curve.jsonl").read_text() == (tmp_path / "stopped/curve.jsonl").read_text()


def test_before_the_first_clustering_there_is_no_nelbo_and_no_best(train):
    assert train(max_updates=10, reestimation_start=10, reestimation_until=10, validate_every=4) == 0
    points = [json.loads(line) for line in (train.expdir / "curve.jsonl").read_text().splitlines()]
    assert [point["quantised"] for point in points] == [False, False, True]
    assert [point["dev_nelbo"] is None for point in points] == [True, True, False]
    assert all(point["dev_reconstruction_bpd"] > 0 for point in points)
    assert load(train.expdir)[1]["update"] == 10


def test_bfloat16_and_another_memory_layout_come_to_about_the_same(train, tmp_path):
    bits = []
    for changes in ({}, {"precision": "bf16-mixed"}, {"channels_last": "false"}):
        train.expdir = tmp_path / f"run{len(bits)}"
        assert train(max_updates=10, learning_rate=0.003, reestimation="false", polyak_decay=0, **changes) == 0
        bits.append(json.loads((train.expdir / "curve.jsonl").read_text())["dev_reconstruction_bpd"])
    assert bits[1:] == pytest.approx([bits[0]] * 2, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"images": "nowhere"}, "nowhere/images.json"),
        ({"dev_set": "test"}, "no set 'test'"),
        ({"vq_num_codebooks": 3}, "--vq_num_codebooks"),
        ({"lstm_layers": 1}, "--lstm_layers"),
    ],
)
def test_wrong_input_is_one_line(train, capsys, changes, problem):
    assert train(**changes) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("vqbn-train: error: ")
    assert problem in errors[0]


def test_a_checkpoint_of_another_kind_is_named(train):
    assert train(max_updates=10) == 0
    with pytest.raises(InputError, match=r"last\.ckpt: a checkpoint of another kind of model; expected .* recognizer"):
        read_checkpoint(train.expdir / "checkpoints" / "last.ckpt", "recognizer")
