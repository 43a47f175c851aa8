"""The ESPnet2 recipe on a mini corpus, through its script: a few updates, stopped, resumed, decoded and scored."""

import json
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
SHORT = (
    "--num_iters_per_epoch 3 --num_workers 0 --use_matplotlib false --use_tensorboard false "
    "--encoder_conf bottleneck_conf.codebook_size=32 --encoder_conf bottleneck_conf.reestimation.start=3"
)


def run(*arguments: str, recipe: str = "egs/wsj/run_espnet2.sh", cwd: Path = TOP) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return subprocess.run(
        [str(TOP / recipe), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=900
    )


@pytest.mark.skipif(find_spec("espnet2") is None, reason="ESPnet is not installed (tools/setup.sh --extras espnet)")
def test_a_few_updates_stopped_resumed_and_decoded(tmp_path):
    mini = ("--data", "mini", "--expdir", "exp", "--token_type", "char", "--beam_size", "1")
    prepared = ("--mini_utterances", "60", "--stop_stage", "3")
    result = run(*mini, *prepared, "--train_options", f"{SHORT} --max_epoch 1", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    folder = tmp_path / "exp/espnet2_char_bn_reest_lr_seed1"
    assert (folder / "1epoch.pth").is_file()
    result = run(*mini, "--stage", "3", "--train_options", f"{SHORT} --max_epoch 2", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (folder / "2epoch.pth").is_file()
    assert "The training was resumed using" in (folder / "job.log").read_text()
    scores = json.loads((folder / "decode_dev/scores.json").read_text())
    for name in ("wer", "cer"):
        assert scores[name] == pytest.approx(scores[f"espnet_{name}"], rel=1e-14)
        assert scores[name] > 0


@pytest.mark.parametrize(
    ("recipe", "arguments", "said"),
    [
        ("egs/wsj/run_espnet2.sh", ("--data", "mini", "--token_type", "word"), "--token_type takes phn, char or bpe"),
        ("egs/wsj/run_espnet2.sh", ("--data", "mini", "--variants", "bnn"), "conf/espnet2/mini_bnn.yaml; there are:"),
        ("egs/wsj/run_espnet2.sh", ("--data", "mini", "--like_vqbn", "yes"), "--like_vqbn takes true or false"),
        (
            "egs/speechocean762/run_espnet2.sh",
            ("--like_vqbn", "true", "--token_type", "char"),
            "goes with --token_type phn",
        ),
        ("egs/speechocean762/run_espnet2.sh", ("--espnet", "1"), "unknown option --espnet"),
        ("egs/wsj/run.sh", ("--data", "mini", "--token_type", "word"), "--token_type takes phn, char or bpe"),
    ],
)
def test_bad_options_end_with_one_line(recipe, arguments, said):
    result = run(*arguments, recipe=recipe)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]
