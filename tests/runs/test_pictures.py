"""Which runs' pictures are kept beside a report."""

from pathlib import Path

from vqbn.runs.pictures import keep_first_pictures, keep_pictures, kept_pictures


def run(folder: Path, name: str) -> Path:
    """A run's folder with two pictures, whose content is its name, and something else."""
    images = folder / name / "images"
    images.mkdir(parents=True)
    for file in ("test_1.png", "test_2.png", "notes.txt"):
        (images / file).write_text(name)
    return folder / name


def test_a_run_s_pictures_carry_its_name_and_older_ones_are_replaced(tmp_path):
    figures = tmp_path / "figures"
    expected = [figures / "bn-K512_seed2_test_1.png", figures / "bn-K512_seed2_test_2.png"]
    figures.mkdir()
    expected[0].write_text("older")
    keep_pictures(run(tmp_path, "bn-K512_seed2"), figures)
    assert sorted(figures.iterdir()) == kept_pictures(figures, "bn-K512", 2) == expected
    assert expected[0].read_text() == "bn-K512_seed2"
    assert kept_pictures(figures, "bn", 2) == kept_pictures(figures, "bn-K512", 1) == []


def test_one_seed_of_a_name_is_enough_the_lowest_that_came(tmp_path):
    figures = tmp_path / "figures"
    for name, seed in (("bn", 2), ("bn", 3), ("bn_lr", 3), ("bn", 1)):
        keep_first_pictures(run(tmp_path, f"{name}_seed{seed}"), figures, name, seed)
    assert {path.name.rsplit("_test", 1)[0] for path in figures.iterdir()} == {"bn_seed1", "bn_seed2", "bn_lr_seed3"}
