"""Our own recipe with pieces of words as targets, through its shell script."""

import json
import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def test_pieces_are_trained_recognised_and_reported(tmp_path):
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    short = "--max_updates 4 --validate_every 4 --checkpoint_every 4 --reestimation_start 2 --reestimation_until 4"
    options = [
        "--data",
        "mini",
        "--mini_utterances",
        "60",
        "--expdir",
        "exp",
        "--token_type",
        "bpe",
        "--vocab_size",
        "60",
    ]
    result = subprocess.run(
        [str(TOP / "egs/wsj/run.sh"), *options, "--train_options", f"{short} --vq_codebook_size 64 --batch_size 4"],
        cwd=tmp_path,
        env=dict(os.environ, OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "exp/data/tokens_bpe60/bpe.model").is_file()
    scores = json.loads((tmp_path / "exp/bn_reest_lr-bpe60_seed1/scores.json").read_text())["dev"]
    assert scores["wer"] > 0
    assert scores["cer"] > 0
    assert "### Text targets" in (tmp_path / "exp/RESULTS.md").read_text()
