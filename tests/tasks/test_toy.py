"""A task that another package brings goes through every command, as docs/architecture.md says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vqbn.bin import decode, report, score, train, tune
from vqbn.runs.results import Result, read_result, write_result

OPTIONS = """--vq_codebook_size 4 --vq_code_dim 2 --vq_normalization batch --reestimation true --reestimation_start 4
--reestimation_every 4 --reestimation_until 12 --vq_reservoir_size 40 --batch_size 8 --max_updates 16
--validate_every 8 --polyak_decay 0.5 --learning_rate 0.01"""


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A folder with the toy task as an installed package has it, and vectors around four points in `dump`."""
    shutil.copy(Path(__file__).with_name("toy.py"), tmp_path / "toy_vectors.py")
    about = tmp_path / "toy_vectors-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-vectors\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[vqbn.tasks]\ntoy = toy_vectors:TOY\n")
    monkeypatch.syspath_prepend(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "dump").mkdir()
    centres = rng.normal(0, 3, (4, 6))
    for name in ("train", "dev"):
        vectors = centres[rng.integers(0, 4, 60)] + rng.normal(0, 0.1, (60, 6))
        np.save(tmp_path / "dump" / f"{name}.npy", vectors.astype(np.float32))
    return tmp_path


def test_it_is_trained_decoded_scored_and_reported(package, capsys):
    dump, run, results = package / "dump", package / "exp/bn_reest_seed1", package / "results/vectors"
    (package / "base.yaml").write_text("task: toy\n")
    options = ["--config", str(package / "base.yaml"), "--dump", str(dump), "--expdir", str(run), *OPTIONS.split()]
    assert train.main(options) == 0
    # From here on the run's own folder says what it is.
    assert decode.main(["--expdir", str(run), "--dump", str(dump)]) == 0
    assert score.main(["--expdir", str(run), "--results", str(results), "--data_label", "points"]) == 0
    assert "squared error" in capsys.readouterr().out
    scores = json.loads((run / "scores.json").read_text())["dev"]
    best = min(map(json.loads, (run / "curve.jsonl").open()), key=lambda point: point["dev_error"])
    assert scores == {
        "squared_error": pytest.approx(best["dev_error"], rel=1e-5),
        "perplexity": pytest.approx(best["perplexity"]),
    }
    assert read_result(results / "bn_reest_seed1.json").task == "toy"
    assert report.main(["--results", str(package / "results"), "--out", str(package / "RESULTS.md")]) == 0
    assert f"| bn_reest | {scores['squared_error']:.3f} |" in (package / "RESULTS.md").read_text()
    assert tune.main(["--results", str(results), "--set", "dev"]) == 0
    assert "squared error" in capsys.readouterr().out
    # A run that its results file holds is not begun again; one in its folder goes on.
    assert train.main([*options, "--results", str(results), "--max_updates", "16"]) == 0


def test_an_unknown_task_is_named_with_those_there_are(package, capsys):
    (package / "base.yaml").write_text("\ntask: tpy\n")
    assert train.main(["--config", str(package / "base.yaml")]) == 1
    error = capsys.readouterr().err
    assert "base.yaml:2: task: found 'tpy', expected one of recognition, handwriting, images, toy" in error
    assert train.main([]) == 1
    assert "task: not given; expected one of recognition, handwriting, images, toy" in capsys.readouterr().err


@pytest.mark.parametrize("command", [train, decode, score])
def test_help_is_the_tasks_once_it_is_known(package, capsys, command):
    known, unknown = ["--task", "recognition", "--help"], ["--help"]
    for options in (known, unknown):
        with pytest.raises(SystemExit, match="0"):
            command.main(options)
    with_task, without = capsys.readouterr().out.split("usage:")[1:]
    assert "--dump" in with_task
    assert "--dump" not in without
    assert "give --help beside --task" in " ".join(without.split())
    assert "toy" in without


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("toy_absent:TOY", "can't be loaded (ModuleNotFoundError"),
        ("toy_vectors:NONE", "can't be loaded (AttributeError"),
        ("toy_vectors:DIM", "found int, expected a vqbn.runs.task.Task"),
        ("a b c", "can't be loaded"),
    ],
)
def test_a_package_whose_task_cannot_be_loaded_is_named(package, capsys, value, message):
    (package / "toy_vectors-1.0.dist-info/entry_points.txt").write_text(f"[vqbn.tasks]\nbroken = {value}\n")
    assert train.main(["--task", "broken"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "the entry point 'broken'" in error
    assert "toy-vectors" in error


def test_a_task_that_contradicts_the_run_or_the_results_is_refused(package, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text("task: toy\n")
    for command in (decode, score):
        assert command.main(["--expdir", str(tmp_path / "run"), "--task", "images"]) == 1
        assert "config.yaml:1: task: found 'toy', but --task says 'images'" in capsys.readouterr().err
    (tmp_path / "run/config.yaml").write_text("seed: 1\ntask: [toy]\n")
    assert score.main(["--expdir", str(tmp_path / "run")]) == 1
    assert "config.yaml:2: task: found" in capsys.readouterr().err
    made = Result("bn", "bn", 1, "d", "c", "k", "h", {}, 1, "best", {"dev": {"squared_error": 1.0}}, task="toy")
    write_result(tmp_path / "results", made)
    options = ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "RESULTS.md")]
    assert report.main([*options, "--task", "recognition"]) == 1
    assert "has results of toy, which --task recognition can't report" in capsys.readouterr().err
    assert not (tmp_path / "RESULTS.md").exists()
