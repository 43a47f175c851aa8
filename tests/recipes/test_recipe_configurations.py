"""The configurations that the recipes ship."""

from pathlib import Path

import pytest
import yaml

from vqbn.runs.config import parse_arguments
from vqbn.tasks.recognition.task import RECOGNITION

EGS = Path(__file__).parents[2] / "egs"
VARIANTS = ("none", "vanilla", "bn", "bn_lr", "bn_ema", "bn_reest", "bn_reest_lr")
PEERS = ("vqp_ema", "simvq", "fsq", "rotation", "cosine")
SIZES = {"wsj": (None, "small", "mini"), "speechocean762": (None, "large", "tune")}
CASES = [(corpus, size, variant) for corpus, sizes in SIZES.items() for size in sizes for variant in VARIANTS]


def load(corpus, size, variant, *options):
    last = f"peers/{variant}" if variant.removeprefix("bn_") in PEERS else f"train_{variant}"
    files = [EGS / corpus / "conf" / f"{name}.yaml" for name in ("base", size, last) if name]
    argv = [arg for file in files for arg in ("--config", str(file))]
    return parse_arguments(
        [*argv, *options, "--dump", "dump", "--expdir", "exp"], "vqbn-train", "Train.", RECOGNITION.keys
    )


@pytest.mark.parametrize(("corpus", "size", "variant"), CASES)
def test_every_combination_is_valid_and_what_its_name_says(corpus, size, variant):
    config = load(corpus, size, variant)
    assert config["bottleneck"] == ("linear" if variant == "none" else "vq")
    assert (config["vq_normalization"] == "batch") == variant.startswith("bn")
    assert config["reestimation"] == ("reest" in variant)
    assert (config["vq_update"] == "ema") == (variant == "bn_ema")
    # The step size of the codebook is ten times the other's, or the same.
    factor = config["codebook_learning_rate"] / config["learning_rate"]
    assert (5 <= factor <= 10) if variant.endswith("_lr") else factor == 0
    assert config["lr_milestones"][-1] < config["max_updates"]


def searched():
    """{corpus: the keys that its search chooses a value for}; only speechocean762 has a search."""
    lines = (EGS / "speechocean762/conf/tune.txt").read_text(encoding="utf-8").splitlines()
    words = [word for line in lines if not line.startswith("#") for word in line.split()]
    return {"wsj": set(), "speechocean762": {word[2:] for word in words if word.startswith("--")}}


@pytest.mark.parametrize("corpus", SIZES)
def test_a_variant_changes_nothing_but_its_bottleneck_and_what_the_search_chose(corpus):
    row = {"bottleneck", "vq_normalization", "vq_update", "vq_ema_decay", "reestimation", "codebook_learning_rate"}
    for variant in VARIANTS:
        keys = yaml.safe_load((EGS / corpus / "conf" / f"train_{variant}.yaml").read_text()) or {}
        assert set(keys) <= row | searched()[corpus]


def test_the_authors_sizes_are_those_of_wsj():
    config = load("wsj", None, "bn_reest_lr")
    assert (config["conv_channels"], config["lstm_layers"], config["lstm_size"]) == (32, 4, 320)
    assert (config["vq_codebook_size"], config["vq_code_dim"]) == (2048, 64)
    assert config["max_updates"] == 85 * 1170


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("variant", PEERS)
@pytest.mark.parametrize("corpus", SIZES)
def test_a_peer_has_our_encoder_data_and_course_of_training(corpus, variant, normalized):
    config = load(corpus, None, f"bn_{variant}" if normalized else variant)
    ours = load(corpus, None, "bn" if normalized else "vanilla")
    assert config["peer"] == variant
    if normalized:
        # Only FSQ has another step size there.
        as_it_is = load(corpus, None, variant)
        moved = {key for key in config if config[key] != as_it_is[key]}
        assert moved - ({"learning_rate"} if variant == "fsq" else set()) == {"vq_normalization"}
    changed = {key for key in config if config[key] != ours[key]}
    assert "bottleneck" in changed
    assert changed <= {"bottleneck", "peer", "peer_dead_threshold", "vq_ema_decay"} | searched()[corpus]


@pytest.mark.parametrize("variant", [*VARIANTS, *PEERS])
def test_the_search_has_at_most_six_settings_of_a_variant_and_each_changes_one_key(variant):
    conf = EGS / "speechocean762/conf"
    lines = [line.split() for line in (conf / "tune.txt").read_text().splitlines() if line and line[0] != "#"]
    settings = {name: options for name, chosen, *options in lines if variant in chosen.split(",") or chosen == "all"}
    start = settings.pop("start")
    assert next(iter(settings)) == "default"
    assert 3 <= len(settings) <= 6
    base = load("speechocean762", "tune", variant, *start)
    for name, options in settings.items():
        config = load("speechocean762", "tune", variant, *start, *options)
        assert sum(config[key] != base[key] for key in config) == (name != "default")
