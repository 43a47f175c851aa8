"""The handwriting recipe through its shell script, on the mini corpus, its configurations, and bad options."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image

from vqbn.runs.config import parse_arguments
from vqbn.tasks.handwriting.task import HANDWRITING

TOP = Path(__file__).resolve().parents[2]
CONF = TOP / "egs/scribblelens/conf"
VARIANTS = ("none", "vanilla", "bn", "bn_lr", "bn_ema", "bn_reest", "bn_reest_lr")
SHORT = "--max_updates 8 --validate_every 4 --checkpoint_every 4 --reestimation_start 3 --reestimation_until 5"
SHORT += " --reestimation_every 2 --vq_codebook_size 32 --batch_size 4 --chunk_columns 64 --conv_channels 2"
SHORT += " --pixelcnn_channels 4"


def run(*arguments: str, cwd: Path = TOP) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    command = [str(TOP / "egs/scribblelens/run.sh"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=400)


def test_mini_recipe_ends_with_scores_pictures_and_a_report(tmp_path):
    options = ("--mini_lines", "90", "--pictures", "1", "--train_options", SHORT)
    result = run("--data", "mini", "--expdir", "exp", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert all(f"stage {number}:" in result.stdout for number in range(7))
    assert [path.name for path in tmp_path.iterdir()] == ["exp"]
    scores = json.loads((tmp_path / "exp/bn_reest_lr_seed1/scores.json").read_text())
    report = (tmp_path / "exp/RESULTS.md").read_text()
    for found in scores.values():
        assert found["uniform_nelbo"] == pytest.approx(found["reconstruction_bpd"] + 5 / 128)
        assert f"{found['reconstruction_bpd']:.4f}" in report
        assert "character_accuracy" in found
        assert "probe_cer" in found
    assert (tmp_path / "exp/bn_reest_lr_seed1/images/test_1.png").exists()
    assert "figures/bn_reest_lr_seed1_test_1.png" in report


def test_pages_go_through_stages_0_to_2_and_name_their_results(tmp_path):
    region = (
        '<TextLine id="l"><Coords points="10,10 190,10 190,50 10,50"/><TextEquiv><Unicode>een</Unicode></TextEquiv>'
    )
    scans = tmp_path / "letters/data"
    scans.mkdir(parents=True)
    for number in range(4):
        Image.effect_noise((200, 60), 90).save(scans / f"f{number}.png")
        page = f'<Page imageFilename="f{number}.png" imageWidth="200" imageHeight="60">{region}</TextLine></Page>'
        (scans / f"f{number}.xml").write_text(f"<PcGts>{page}</PcGts>")
    places = ("--datadir", "out/data", "--dumpdir", "out/dump", "--expdir", "out/exp", "--nj", "1")
    result = run("--pages", "letters/data", "--stop_stage", "2", *places, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = json.loads((tmp_path / "out/dump/info.json").read_text())["sets"]
    assert {name: count["lines"] for name, count in counts.items()} == {"train": 2, "dev": 1, "test": 1}
    zipped = json.loads((tmp_path / "out/data/corpus.json").read_text())["corpus"]
    assert zipped == str(tmp_path / "out/data/letters.zip")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "nowhere.zip", "--stop_stage", "0"), "nowhere.zip: no such file"),
        (("--data", "mini", "--pages", "scans"), "two ways to say the same"),
        (("--pages", "nowhere", "--stop_stage", "0"), "nowhere: no such folder"),
        (("--data", "mini", "--variants", "bnn"), "conf/train_bnn.yaml"),
        (("--data", "mini", "--grey", "3"), "unknown option --grey"),
    ],
)
def test_bad_options_end_with_one_line(arguments, said, tmp_path):
    result = run("--datadir", str(tmp_path / "data"), "--expdir", str(tmp_path / "exp"), *arguments)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("size", [None, "small", "mini"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_combination_is_valid_and_what_its_name_says(size, variant):
    files = [CONF / f"{name}.yaml" for name in ("base", size, f"train_{variant}") if name]
    argv = [arg for file in files for arg in ("--config", str(file))]
    config = parse_arguments([*argv, "--dump", "d", "--expdir", "e"], "test", "", HANDWRITING.keys)
    assert config["bottleneck"] == ("linear" if variant == "none" else "vq")
    assert (config["vq_normalization"] == "batch") == variant.startswith("bn")
    assert config["reestimation"] == ("reest" in variant)
    assert (config["vq_update"] == "ema") == (variant == "bn_ema")
    # The step size of the codebook is ten times the other's, or the same.
    assert config["codebook_learning_rate"] == (10 * config["learning_rate"] if variant.endswith("_lr") else 0)
    assert config["chunk_columns"] == 128
    assert config["lr_milestones"][-1] < config["max_updates"]
    if size is None:
        assert (config["vq_codebook_size"], config["vq_code_dim"], config["pixelcnn_layers"]) == (4096, 128, 7)


def test_a_variant_changes_nothing_but_its_bottleneck():
    allowed = {"bottleneck", "vq_normalization", "vq_update", "vq_ema_decay", "reestimation", "codebook_learning_rate"}
    for variant in VARIANTS:
        assert set(yaml.safe_load((CONF / f"train_{variant}.yaml").read_text()) or {}) <= allowed
