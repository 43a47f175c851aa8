"""The whole recipe on a mini corpus, through its shell script, and what the script says of bad options."""

import json
import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def run(*arguments: str, recipe: str = "egs/wsj/run.sh", cwd: Path = TOP) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return subprocess.run(
        [str(TOP / recipe), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A folder in which all stages have run on 60 utterances for a few updates, and what that printed."""
    folder = tmp_path_factory.mktemp("recipe")
    short = "--max_updates 24 --validate_every 12 --checkpoint_every 12 --reestimation_start 4 --reestimation_until 16"
    short += " --reestimation_every 6 --vq_codebook_size 64"
    result = run(
        *("--data", "mini", "--mini_utterances", "60", "--expdir", "exp", "--train_options", short), cwd=folder
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result


def test_mini_recipe_ends_with_scored_phones_and_a_report(finished):
    folder, result = finished
    assert all(f"stage {number}:" in result.stdout for number in range(7))
    scores = json.loads((folder / "exp/bn_reest_lr_seed1/scores.json").read_text())["dev"]
    assert 0 < scores["per"] <= 150
    assert 1 <= scores["perplexity"] <= scores["used_codes"] <= scores["codebook_size"] == 64
    report = (folder / "exp/RESULTS.md").read_text()
    assert "mini" in report
    assert f"{scores['per']:.1f}" in report


def test_mini_recipe_writes_only_where_it_was_told(finished):
    folder, _ = finished
    assert sorted(path.name for path in folder.iterdir()) == ["exp"]
    assert not (TOP / "egs/wsj/results").joinpath("60utt-espeak-ng").exists()


def test_a_finished_training_is_not_run_again(finished):
    folder, _ = finished
    checkpoint = folder / "exp/bn_reest_lr_seed1/checkpoints/last.ckpt"
    before = checkpoint.stat().st_mtime_ns
    short = "--max_updates 24 --validate_every 12 --checkpoint_every 12 --reestimation_start 4 --reestimation_until 16"
    short += " --reestimation_every 6 --vq_codebook_size 64"
    result = run(
        *("--data", "mini", "--expdir", "exp", "--stage", "3", "--stop_stage", "3", "--train_options", short),
        cwd=folder,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert checkpoint.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("recipe", "arguments", "said"),
    [
        ("egs/wsj/run.sh", (), "--data mini"),
        ("egs/wsj/run.sh", ("--dat", "mini"), "unknown option --dat"),
        ("egs/wsj/run.sh", ("--data",), "--data needs a value"),
        ("egs/wsj/run.sh", ("--data", "mini", "--stage", "two"), "'two'"),
        ("egs/wsj/run.sh", ("--data", "mini", "--variants", "bn bnn"), "conf/train_bnn.yaml"),
        (
            "egs/wsj/run.sh",
            ("--data", "mini", "--cmvn", "utterance"),
            "global or speaker, not 'utterance'",
        ),
        ("egs/wsj/run.sh", ("--data", "nowhere", "--stop_stage", "0"), "nowhere"),
        ("egs/speechocean762/run.sh", ("--data", "nowhere", "--stop_stage", "0"), "nowhere"),
        ("egs/wsj/local/decode.sh", (), "--expdir"),
    ],
)
def test_bad_options_end_with_one_line(recipe, arguments, said, tmp_path):
    scratch = () if "local" in recipe else ("--datadir", str(tmp_path / "data"))
    result = run(*scratch, *arguments, recipe=recipe)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in result.stderr
