"""The configurations that the image recipe ships."""

from pathlib import Path

import pytest
import yaml

from vqbn.runs.config import parse_arguments
from vqbn.tasks.images.task import IMAGES

CONF = Path(__file__).parents[2] / "egs" / "cifar10" / "conf"
VARIANTS = ("vanilla", "bn", "bn_lr", "bn_ema", "bn_reest", "bn_reest_lr")


def load(size, bottleneck, variant):
    files = [CONF / f"{name}.yaml" for name in ("base", size, bottleneck, f"train_{variant}") if name]
    argv = [arg for file in files for arg in ("--config", str(file))]
    return parse_arguments([*argv, "--images", "data", "--expdir", "exp"], "vqbn-train", "Train.", IMAGES.keys)


@pytest.mark.parametrize("size", [None, "small", "mini"])
@pytest.mark.parametrize("bottleneck", ["8x128", "5x1024"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_combination_is_valid_and_what_its_name_says(size, bottleneck, variant):
    config = load(size, bottleneck, variant)
    assert f"{config['vq_num_codebooks']}x{config['vq_codebook_size']}" == bottleneck
    assert config["vq_code_dim"] == 32 * config["vq_num_codebooks"]
    assert (config["vq_normalization"] == "batch") == variant.startswith("bn")
    assert config["reestimation"] == ("reest" in variant)
    assert (config["vq_update"] == "ema") == (variant == "bn_ema")
    assert config["codebook_learning_rate"] == 0
    assert config["codebook_rate_factor"] == (10 if variant.endswith("_lr") else 1)
    # Enough vectors for the clustering, seen since the one before.
    assert config["vq_reservoir_size"] >= 10 * config["vq_codebook_size"]
    assert config["reestimation_every"] * config["batch_size"] * 64 >= config["vq_reservoir_size"]


def test_a_variant_changes_nothing_but_its_bottleneck():
    for variant in VARIANTS:
        keys = yaml.safe_load((CONF / f"train_{variant}.yaml").read_text()) or {}
        assert set(keys) <= {"vq_normalization", "vq_update", "vq_ema_decay", "reestimation", "codebook_rate_factor"}


def test_the_base_is_the_authors():
    config = load(None, "8x128", "vanilla")
    assert (config["channels"], config["residual_blocks"], config["vq_code_dim"]) == (256, 2, 256)
    assert (config["batch_size"], config["learning_rate"], config["polyak_decay"]) == (128, 5e-4, 0.998)
    # 47,500 images, 371 updates an epoch, 2,000 epochs.
    assert config["max_updates"] == 47500 // 128 * 2000
