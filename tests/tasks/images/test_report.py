from vqbn.runs.results import Result
from vqbn.runs.task import Runs
from vqbn.tasks.images.report import by_variant, catching_up, report, row_of, table_iii


def result(variant, seed, nelbo, curve=(9.0, 8.0, 7.0), change="", codebooks=2, size=4):
    bottleneck = f"{codebooks}x{size}"
    scores = {
        "uniform_nelbo": nelbo,
        "reconstruction_bpd": nelbo - 1,
        "unigram_nelbo": nelbo - 0.5,
        "perplexity": 2.0,
        "used_codes": 5,
        "codes_seen": 20,
        "codebook_size": size,
    }
    return Result(
        name=f"{variant}-{bottleneck}{change}",
        variant=variant,
        seed=seed,
        data="images (partial)",
        command="egs/cifar10/run.sh",
        commit="c" * 40,
        config_hash="0123456789ab",
        config={"vq_num_codebooks": codebooks, "vq_codebook_size": size, "dev_set": "dev"},
        update=30,
        checkpoint="best",
        scores={"test": scores},
        usage={"test": [[10, 0, 0, 0], [5, 5, 0, 0]]},
        curve=[
            {"update": 10 * place, "dev_nelbo": value, "perplexity": 2.0} for place, value in enumerate(curve, start=1)
        ],
    )


def cells(text, variant):
    line = next(line for line in text.splitlines() if f"`{variant}`" in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_rows_show_medians_over_seeds_beside_the_paper():
    runs = [result("bn", seed, nelbo, codebooks=8, size=128) for seed, nelbo in ((1, 5.0), (2, 4.0), (3, 4.25))]
    row = cells(table_iii(by_variant(runs), "8x128", "test"), "bn")
    assert row[2:5] == ["1, 2, 3", "4.2500 (4.0000 to 5.0000)", "3.2500 (3.0000 to 4.0000)"]
    assert row[7:] == ["1.0 to 2.0", "5 of 1,024", "4.677"]
    assert cells(table_iii(by_variant(runs), "8x128", "test"), "vanilla")[2] == "not run"


def test_runs_with_another_key_changed_are_rows_of_their_own():
    changed = result("bn", 1, 4.0, change="-long")
    assert row_of(changed) == "bn-2x4-long"
    assert list(by_variant([changed, result("bn_ema", 1, 4.0), result("vanilla", 1, 4.0)])) == [
        "vanilla",
        "bn_ema",
        "bn-2x4-long",
    ]


def test_catching_up_compares_with_vanilla_of_the_same_seed():
    runs = [result("vanilla", 1, 7.0, (9.0, 8.0, 7.5)), result("vanilla", 2, 7.0, (9.0, 8.5, 8.0))]
    runs += [result("bn", 1, 7.0, (8.0, 7.5, 7.0)), result("bn", 2, 7.0, (7.9, 7.5, 7.0))]
    runs += [result("bn_lr", 1, 8.0, (9.0, 9.0, 9.0))]
    text = catching_up(by_variant(runs))
    # Seed 1 reaches 7.5 after 20 of 30 updates, seed 2 reaches 8.0 after 10.
    assert cells(text, "bn")[2:] == ["2", "50%", "0"]
    assert cells(text, "bn_lr")[2:] == ["1", "not reached", "1"]
    assert "`vanilla`" not in text
    assert catching_up(by_variant(runs[2:])) == ""


def test_bottlenecks_have_sections_and_figures(tmp_path):
    runs = [result("bn", 1, 4.0, codebooks=5, size=1024), result("bn", 1, 4.0, codebooks=8, size=128)]
    text = report(Runs({tmp_path / "results": runs}, tmp_path))
    assert text.index("### 8x128") < text.index("### 5x1024")
    assert "images (partial)" in text
    for name in ("nelbo_8x128.png", "nelbo_5x1024.png", "usage_8x128.png"):
        assert f"results/figures/{name}" in text
        assert (tmp_path / "results" / "figures" / name).exists()
