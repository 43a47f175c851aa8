"""The command vqbn-train, in process."""

import errno
import json
import os
import shutil

import pytest
import torch
import yaml

from vqbn.bin.train import main
from vqbn.runs import checkpoint
from vqbn.runs.checkpoint import load_run
from vqbn.runs.config import parse_arguments
from vqbn.runs.progress import Progress
from vqbn.tasks.recognition import training as recognition
from vqbn.tasks.recognition.task import RECOGNITION

TINY = {
    "task": "recognition",
    "conv_channels": 4,
    "lstm_layers": 1,
    "lstm_size": 8,
    "vq_codebook_size": 8,
    "vq_code_dim": 8,
    "learning_rate": 0.02,
    "batch_size": 6,
    "chunk_frames": 32,
    "max_updates": 12,
    "polyak_decay": 0.5,
    "validate_every": 6,
    "checkpoint_every": 4,
    "log_every": 4,
}


@pytest.fixture
def train(speech_dump, tmp_path):
    """A function from changed keys to the command's status; the run's folder is its `expdir`."""

    def run(**changes):
        config = {"dump": speech_dump, "expdir": run.expdir} | TINY | changes
        return main([f"--{key}={value}" for key, value in config.items()])

    run.expdir = tmp_path / "run"
    return run


def curve(expdir):
    return [json.loads(line) for line in (expdir / "curve.jsonl").read_text().splitlines()]


def test_what_a_run_leaves_behind(train):
    assert train() == 0
    expdir = train.expdir
    assert {path.name for path in expdir.iterdir()} == {
        "config.yaml",
        "train.log",
        "curve.jsonl",
        "tensorboard",
        "checkpoints",
    }
    assert {path.name for path in (expdir / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    points = curve(expdir)
    assert [point["update"] for point in points] == [6, 12]
    assert {"dev_per", "dev_loss", "perplexity", "used_codes", "codeword_norm", "encoder_norm", "lr"} <= set(points[0])
    best = min(points, key=lambda point: point["dev_per"])
    assert load_run(RECOGNITION, expdir).update == best["update"]
    assert "update 12 of 12" in (expdir / "train.log").read_text()
    assert list((expdir / "tensorboard").glob("events.*"))


def test_the_written_configuration_is_input(train):
    assert train(max_updates=4) == 0
    config = parse_arguments(["--config", str(train.expdir / "config.yaml")], "vqbn-train", "Train.", RECOGNITION.keys)
    assert config["max_updates"] == 4
    assert os.path.isabs(config["expdir"])
    assert yaml.safe_load((train.expdir / "config.yaml").read_text())["torch_version"]
    assert main(["--config", str(train.expdir / "config.yaml")]) == 0


def test_a_finished_run_is_not_trained_again(train):
    assert train() == 0
    before = {path: path.stat().st_mtime_ns for path in (train.expdir / "checkpoints").iterdir()}
    assert train() == 0
    assert {path: path.stat().st_mtime_ns for path in (train.expdir / "checkpoints").iterdir()} == before
    assert "all 12 updates are done already" in (train.expdir / "train.log").read_text()


def test_a_run_is_not_continued_with_another_configuration(train, capsys):
    assert train(max_updates=4) == 0
    assert train(max_updates=4, learning_rate=0.03) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    for word in ("last.ckpt", "learning_rate: 0.02, not 0.03", "--expdir"):
        assert word in error
    # Where things are and how fast they go may change.
    assert train(max_updates=4, checkpoint_every=1) == 0


def test_no_bottleneck_has_no_codes(train):
    assert train(bottleneck="linear") == 0
    point = curve(train.expdir)[-1]
    assert point["perplexity"] is None
    assert point["codeword_norm"] is None
    assert load_run(RECOGNITION, train.expdir).model.bottleneck.__class__.__name__ == "LinearBottleneck"


def test_best_is_not_from_before_the_first_clustering(train, monkeypatch):
    rates = iter([10.0, 90.0, 80.0, 85.0])
    original = recognition.evaluate

    def evaluate(*arguments):
        result = original(*arguments)
        result.per = next(rates)
        return result

    monkeypatch.setattr(recognition, "evaluate", evaluate)
    assert train(reestimation="true", reestimation_start=5, reestimation_until=9, validate_every=3) == 0
    assert [point["dev_per"] for point in curve(train.expdir)] == [10, 90, 80, 85]
    assert [point["quantised"] for point in curve(train.expdir)] == [False, True, True, True]
    assert load_run(RECOGNITION, train.expdir).update == 9


def test_several_codebooks_the_mixer_and_no_averaging(train):
    assert train(vq_num_codebooks=2, latent_mixer="true", polyak_decay=0, max_updates=4) == 0
    loaded = load_run(RECOGNITION, train.expdir)
    assert not loaded.averaged
    assert loaded.model.mixer is not None
    assert loaded.model.bottleneck.num_codebooks == 2


def test_workers_prepare_the_same_batches(train, tmp_path):
    assert train(max_updates=4) == 0
    weights = load_run(RECOGNITION, train.expdir).model.state_dict()
    train.expdir = tmp_path / "other"
    assert train(max_updates=4, num_workers=2) == 0
    other = load_run(RECOGNITION, train.expdir).model.state_dict()
    assert all((value == other[name]).all() for name, value in weights.items())


def test_a_smaller_loss_follows(train):
    assert train(max_updates=80, validate_every=40, vq_normalization="batch", vq_codebook_init=0.3) == 0
    first, last = curve(train.expdir)
    assert last["train_ctc"] < 0.8 * first["train_ctc"]
    assert last["dev_per"] < 60


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_checkpoint(train, capsys):
    assert train(learning_rate=1e30, polyak_decay=0, gradient_clip=0) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "not finite" in error
    assert "learning_rate" in error
    assert not (train.expdir / "checkpoints" / "last.ckpt").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dump": "nowhere"}, "nowhere/tokens.txt"),
        ({"train_set": "eval"}, "eval: no such folder"),
        ({"vq_codebook_size": 0}, "--vq_codebook_size"),
        ({"no_such_key": 0}, "--no_such_key"),
        ({"ngpu": 64, "batch_size": 64}, "--ngpu"),
    ],
)
def test_wrong_input_is_one_line(train, capsys, changes, problem):
    assert train(**changes) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("vqbn-train: error: ")
    assert problem in errors[0]


def test_a_checkpoint_of_another_model_is_one_line(train, capsys):
    (train.expdir / "checkpoints").mkdir(parents=True)
    (train.expdir / "checkpoints" / "last.ckpt").write_bytes(b"something else")
    assert train() == 1
    assert "last.ckpt: damaged, or not a checkpoint" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_keeps_what_was_saved(train, capsys, monkeypatch):
    assert train(max_updates=4) == 0
    kept = (train.expdir / "checkpoints" / "last.ckpt").read_bytes()

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(checkpoint, "replacing", full)
    train.expdir.joinpath("checkpoints", "last.ckpt").rename(train.expdir / "kept.ckpt")
    assert train(max_updates=4) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "ckpt: No space left on device" in error
    assert (train.expdir / "kept.ckpt").read_bytes() == kept
    assert not (train.expdir / "checkpoints" / "last.ckpt").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_line(train, capsys, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    train.expdir = tmp_path / "closed" / "run"
    assert train() == 1
    assert "Permission denied" in capsys.readouterr().err


def test_a_run_that_a_results_file_holds_is_not_begun(train, speech_dump, tmp_path, caplog):
    from vqbn.bin import decode, score

    train.expdir = tmp_path / "bn_seed1"
    results = tmp_path / "results"
    given = {"max_updates": 4, "vq_normalization": "batch", "results": results}
    assert train(**given) == 0
    options = ["--expdir", str(train.expdir), "--dump", str(speech_dump)]
    assert decode.main(options) == 0
    assert score.main([*options, "--results", str(results)]) == 0

    shutil.rmtree(train.expdir)
    with caplog.at_level("INFO"):
        assert train(**given, checkpoint_every=1) == 0
    assert f"done already: {results / 'bn_seed1.json'} holds" in caplog.text
    assert not (train.expdir / "checkpoints").exists()
    # Another configuration is another run; one that has begun is brought to its end.
    assert train(**given | {"seed": 2}) == 0
    assert (train.expdir / "checkpoints/last.ckpt").exists()
    assert train(**given | {"seed": 2}) == 0
    assert "all 4 updates are done already" in (train.expdir / "train.log").read_text()


@pytest.mark.parametrize(("peer", "normalization"), [("vqp_ema", "none"), ("fsq", "batch")])
def test_a_peer_trains_scores_and_goes_on_where_it_stopped(train, speech_dump, tmp_path, peer, normalization):
    pytest.importorskip("vector_quantize_pytorch", reason="the extra `peers` is not installed")
    from vqbn.bin import decode, score

    given = {"bottleneck": "peer", "peer": peer, "peer_dead_threshold": 0.5, "vq_codebook_size": 256}
    given["vq_normalization"] = normalization
    train.expdir = tmp_path / f"{peer}_seed1"
    assert train(**given, max_updates=8) == 0
    whole = load_run(RECOGNITION, train.expdir, "last").model.state_dict()
    options = ["--expdir", str(train.expdir), "--dump", str(speech_dump)]
    assert decode.main(options) == 0
    assert score.main(options) == 0
    scores = json.loads((train.expdir / "scores.json").read_text())["dev"]
    assert scores["codebook_size"] == (240 if peer == "fsq" else 256)
    assert 1 <= scores["perplexity"] <= scores["used_codes"]
    assert 0 <= scores["pnmi"] <= 1
    assert curve(train.expdir)[-1]["perplexity"] >= 1

    # Stopped after 4 of 8 updates, and continued.
    train.expdir = tmp_path / "stopped"
    original = Progress._save

    def save(self, trainer, evaluated):
        original(self, trainer, evaluated)
        raise RuntimeError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "_save", save)
        with pytest.raises(RuntimeError, match="stopped"):
            train(**given, max_updates=8)
    assert load_run(RECOGNITION, train.expdir, "last").update == 4
    assert train(**given, max_updates=8) == 0
    continued = load_run(RECOGNITION, train.expdir, "last").model.state_dict()
    assert all(torch.equal(value, continued[name]) for name, value in whole.items() if torch.is_tensor(value))
