"""The command vqbn-train, in process."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
import yaml

from vqbn.bin.train import main
from vqbn.files import locked
from vqbn.runs import checkpoint
from vqbn.runs.checkpoint import load, load_run
from vqbn.runs.config import configuration_hash, decisive, parse_arguments
from vqbn.runs.progress import Progress
from vqbn.runs.results import Result, write_result
from vqbn.runs.train import run_folder
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


def test_a_run_that_a_results_file_holds_is_not_begun(train, speech_dump, tmp_path, caplog, capsys):
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
    # Another configuration is another run, with a name of its own; one that has begun is brought to its end.
    assert train(**given | {"seed": 2}) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{results / 'bn_seed1.json'}: holds a run with another configuration: seed: 1 (here 2); give" in error
    assert "--tag" in error
    assert not (train.expdir / "checkpoints").exists()
    train.expdir = tmp_path / "bn_seed2"
    assert train(**given | {"seed": 2}) == 0
    assert (train.expdir / "checkpoints/last.ckpt").exists()
    assert train(**given | {"seed": 2}) == 0
    assert "all 4 updates are done already" in (train.expdir / "train.log").read_text()


def test_a_folder_in_which_another_process_trains_is_left_alone(train, capsys):
    assert train(max_updates=4) == 0
    half = train.expdir / "checkpoints" / ".last.1-abc.ckpt"
    half.write_bytes(b"what the other one is writing")
    with locked(train.expdir):
        assert train(max_updates=4) == 1
    assert f"{train.expdir}: in use by " in capsys.readouterr().err
    assert half.exists()


def test_the_processes_of_one_training_share_its_lock(train, monkeypatch):
    with run_folder(train.expdir):
        monkeypatch.setenv("LOCAL_RANK", "1")
        with run_folder(train.expdir):
            pass


PRINT_KEPT = """
import sys
from vqbn.bin.train import main
status = main(sys.argv[1:])
assert "torch" not in sys.modules
raise SystemExit(status)
"""


def test_which_results_file_holds_a_configuration_is_said_without_torch(train, speech_dump, tmp_path):
    keys = [f"--{key}={value}" for key, value in TINY.items()]
    config = parse_arguments([*keys, "--dump=x", "--expdir=y"], "vqbn-train", "Train.", RECOGNITION.keys)
    result = Result(
        *("bn", "bn", 1, "made", "run.sh", "0", configuration_hash(config, RECOGNITION.keys)),
        *(decisive(config, RECOGNITION.keys), 12, "best", {"dev": {"per": 50.0}}),
    )
    path = write_result(tmp_path / "results", result)

    def kept(name, *changes):
        argv = [*keys, "--dump=nowhere", f"--expdir={tmp_path / name}", f"--results={path.parent}", *changes]
        command = [sys.executable, "-c", PRINT_KEPT, *argv, "--print_kept"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert kept("bn_seed1") == (0, f"{path}\n", "")
    # Another configuration: not kept where it has another name, refused where it has the same.
    assert kept("bn-fast_seed1", "--learning_rate=0.1") == (0, "", "")
    status, printed, error = kept("bn_seed1", "--learning_rate=0.1", "--lstm_size=9")
    assert (status, printed) == (1, "")
    assert "another configuration: lstm_size: 8 (here 9), learning_rate: 0.02 (here 0.1); give" in error
    assert not (tmp_path / "bn_seed1").exists()


def test_a_run_begins_with_the_weights_of_another_but_not_its_clock(train, tmp_path, capsys):
    schedule = {"reestimation": "true", "reestimation_start": 3, "reestimation_until": 9, "vq_normalization": "batch"}
    assert train(**schedule) == 0
    first = tmp_path / "first.ckpt"
    shutil.copy(train.expdir / "checkpoints/last.ckpt", first)
    given = {"init_from": first, "learning_rate": 1e-12, "max_updates": 4, "validate_every": 1}
    train.expdir = tmp_path / "second"
    assert train(**schedule | given) == 0
    before, after = (load(path, RECOGNITION).model for path in (first, train.expdir / "checkpoints/last.ckpt"))
    for name, value in before.named_parameters():
        if "codebook" not in name:
            torch.testing.assert_close(after.get_parameter(name), value, rtol=0, atol=1e-6)
    assert [point["quantised"] for point in curve(train.expdir)] == [False, True, True, True]
    # The file's contents are part of the configuration, its path is not.
    config = yaml.safe_load((train.expdir / "config.yaml").read_text())
    assert config["init_from"] == str(first)
    assert config["init_from_hash"] == hashlib.sha256(first.read_bytes()).hexdigest()[:12]
    assert train(**schedule | given | {"init_from": ""}) == 1
    assert "last.ckpt: trained with init_from_hash: " in capsys.readouterr().err
    recorded = ["--config", str(train.expdir / "config.yaml")]
    assert main([*recorded, f"--init_from={shutil.copy(first, tmp_path / 'copy.ckpt')}"]) == 0
    first.unlink()
    # A run that has begun does not need the file; another file is refused.
    assert main([*recorded, "--continue_to=6"]) == 0
    first.write_bytes(b"another")
    assert main(recorded) == 1
    assert f"init_from: {first}: has the hash " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"init_from": "nowhere.ckpt"}, "init_from: nowhere.ckpt: can't be read: No such file"),
        ({"lstm_size": 9}, "does not fit this configuration (size mismatch for "),
        ({"vq_normalization": "none"}, "does not fit this configuration: bottleneck."),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_not_begun_with(train, trained_run, capsys, changes, problem):
    given = {"init_from": trained_run / "checkpoints/last.ckpt", "vq_normalization": "batch"}
    assert train(**given | changes) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert problem in error
    assert not (train.expdir / "checkpoints").exists()


def test_a_checkpoint_with_other_tokens_is_not_begun_with(train, tmp_path, capsys):
    assert train(max_updates=4) == 0
    contents = torch.load(train.expdir / "checkpoints/last.ckpt", weights_only=True)
    contents["recognizer"]["tokens"][1:3] = contents["recognizer"]["tokens"][2:0:-1]
    torch.save(contents, tmp_path / "swapped.ckpt")
    train.expdir = tmp_path / "other"
    assert train(init_from=tmp_path / "swapped.ckpt") == 1
    assert "swapped.ckpt: its tokens are not this run's" in capsys.readouterr().err


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
