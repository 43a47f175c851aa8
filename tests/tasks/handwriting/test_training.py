"""Training of the handwriting autoencoder: the command, interrupted and not."""

import json

import pytest
import torch

from vqbn.bin.decode import main as decode
from vqbn.bin.train import main
from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.runs.checkpoint import load_run
from vqbn.tasks.handwriting.evaluation import score_lines
from vqbn.tasks.handwriting.task import HANDWRITING
from vqbn.tasks.handwriting.training import HandwritingTraining

TINY = {
    "task": "handwriting",
    "conv_channels": 2,
    "lstm_size": 4,
    "mixer_size": 6,
    "pixelcnn_channels": 4,
    "pixelcnn_layers": 2,
    "vq_codebook_size": 8,
    "vq_code_dim": 6,
    "vq_normalization": "batch",
    "vq_reservoir_size": 80,
    "reestimation": "true",
    "reestimation_start": 7,
    "reestimation_every": 6,
    "reestimation_until": 16,
    "codebook_learning_rate": 0.02,
    "batch_size": 4,
    "chunk_columns": 32,
    "max_updates": 20,
    "polyak_decay": 0.9,
    "validate_every": 10,
    "checkpoint_every": 4,
    "log_every": 10,
}


@pytest.fixture
def train(line_dump, tmp_path):
    """A function from a folder's name and changed keys to the command's status."""

    def run(name="run", **changes):
        config = {"dump": line_dump, "expdir": tmp_path / name} | TINY | changes
        return main([f"--{key}={value}" for key, value in config.items()])

    return run


def weights(expdir, which="best"):
    return load_run(HANDWRITING, expdir, which, averaged=False).model.state_dict()


def equal(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_what_was_logged_is_what_the_saved_weights_give(train, tmp_path, line_dump):
    assert train() == 0
    points = [json.loads(line) for line in (tmp_path / "run/curve.jsonl").read_text().splitlines()]
    assert [point["update"] for point in points] == [10, 20]
    loaded = load_run(HANDWRITING, tmp_path / "run", "best")
    assert loaded.averaged
    best = min(points, key=lambda point: point["dev_bpd"])
    assert loaded.update == best["update"]
    assert score_lines(loaded.model, LineDataset(line_dump, "dev")).bpd == pytest.approx(best["dev_bpd"], rel=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{}, {"vq_update": "ema", "polyak_decay": 0, "num_workers": 1}, {"bottleneck": "linear", "reestimation": "false"}],
    ids=["clustered", "moving averages", "no bottleneck"],
)
def test_a_stopped_run_ends_bit_for_bit_as_one_that_was_not(train, tmp_path, monkeypatch, changes):
    assert train("whole", **changes) == 0
    step = HandwritingTraining.training_step

    def fail(self, batch, batch_idx):
        if self.trainer.global_step == 14:
            raise InputError("power cut")
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(HandwritingTraining, "training_step", fail)
        assert train("stopped", **changes) == 1
    assert load_run(HANDWRITING, tmp_path / "stopped", "last").update == 12
    assert train("stopped", **changes) == 0
    for which in ("last", "best"):
        assert equal(*(weights(tmp_path / name, which) for name in ("whole", "stopped")))
    assert (tmp_path / "whole/curve.jsonl").read_text() == (tmp_path / "stopped/curve.jsonl").read_text()


def test_a_seed_decides_the_run(train, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert train(name, seed=seed, max_updates=10) == 0
    one, again, other = (weights(tmp_path / name) for name in ("one", "again", "other"))
    assert equal(one, again)
    assert not equal(one, other)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dump": "nowhere"}, "nowhere/info.json"),
        ({"dev_set": "eval"}, "eval/lines.tsv"),
        ({"chunk_columns": 30}, "chunk_columns: found 30, expected a multiple of 4"),
        ({"lstm_layers": 1}, "--lstm_layers"),
    ],
)
def test_wrong_input_is_one_line(train, tmp_path, capsys, changes, problem):
    assert train(**changes) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert error.startswith("vqbn-train: error: ")
    assert problem in error


def test_lines_with_other_grey_levels_than_the_model_s_are_refused(train, tmp_path, line_dump, capsys):
    assert train(max_updates=10) == 0
    other = tmp_path / "dump"
    other.mkdir()
    for path in line_dump.iterdir():
        (other / path.name).symlink_to(path)
    (other / "info.json").unlink()
    (other / "info.json").write_text(json.dumps({"height": 32, "grey_levels": 8}))
    assert decode(["--expdir", str(tmp_path / "run"), "--dump", str(other), "--set", "dev"]) == 1
    assert "8 grey levels, the model" in capsys.readouterr().err
    assert not (tmp_path / "run/decode_dev").exists()
