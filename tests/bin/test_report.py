import re
import shutil

import pytest

from vqbn.bin import score
from vqbn.bin.report import main
from vqbn.runs.results import read_results


@pytest.fixture
def runs(decoded_runs, speech_dump, tmp_path):
    """Two scored runs, and their results files in results/made."""
    shutil.copytree(decoded_runs, tmp_path / "exp")
    for run in ("bn_reest_lr_seed1", "none_seed1"):
        options = ["--expdir", str(tmp_path / "exp" / run), "--dump", str(speech_dump), "--data_label", "made speech"]
        assert score.main([*options, "--results", str(tmp_path / "results/made")]) == 0
    return tmp_path


def per_in_table(text, variant):
    return re.search(rf"^\|[^|]*\| `{variant}` \|[^|]*\|[^|]*\| ([^|]*) \|", text, re.MULTILINE).group(1)


def test_results_files_are_enough(runs):
    shutil.rmtree(runs / "exp")
    assert main(["--results", str(runs / "results/made"), "--out", str(runs / "RESULTS.md"), "--title", "Made"]) == 0
    text = (runs / "RESULTS.md").read_text()
    assert text.startswith("# Made\n")
    assert "## made speech\n" in text
    for result in read_results(runs / "results/made"):
        assert per_in_table(text, result.name) == f"{result.scores['dev']['per']:.1f}"
    assert text.count("| not run |") == 5
    links = re.findall(r"!\[.*\]\((.*)\)", text)
    assert links == [f"results/made/figures/{name}.png" for name in ("per", "perplexity", "usage", "norms")]
    for link in links:
        assert (runs / link).stat().st_size > 10_000


@pytest.fixture
def quick_figures(monkeypatch):
    """Figures that are there without being drawn."""

    def draw(results, folder, data, set_name):
        return {"per": folder / "per.png"}

    monkeypatch.setattr("vqbn.tasks.recognition.report.draw_figures", draw)


@pytest.mark.usefixtures("quick_figures")
def test_the_folder_above_and_the_runs_themselves_give_the_same_tables(runs):
    for source, out in (("--results", "RESULTS.md"), ("--expdir", "exp/RESULTS.md")):
        folder = runs / ("results" if source == "--results" else "exp")
        label = ["--data_label", "made speech"] if source == "--expdir" else []
        assert main([source, str(folder), "--out", str(runs / out), *label]) == 0
    # Each is also written from other files, at another time: nothing but results decides the text.
    tracked, untracked = (runs / "RESULTS.md").read_text(), (runs / "exp/RESULTS.md").read_text()
    assert tracked.replace("results/made/figures/", "figures/") == untracked


@pytest.mark.usefixtures("quick_figures")
def test_the_search_beside_the_results_is_reported(runs):
    shutil.copytree(runs / "results/made", runs / "results/made/tuning")
    assert main(["--results", str(runs / "results"), "--out", str(runs / "RESULTS.md")]) == 0
    assert "| `none` | **default** | – | 1 |" in (runs / "RESULTS.md").read_text()


@pytest.mark.usefixtures("quick_figures")
def test_runs_that_are_not_scored_are_left_out(runs, caplog):
    (runs / "exp/none_seed1/scores.json").unlink()
    assert main(["--expdir", str(runs / "exp"), "--out", str(runs / "exp/RESULTS.md")]) == 0
    assert "none_seed1: not scored yet" in caplog.text
    assert (runs / "exp/RESULTS.md").read_text().count("| not run |") == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--results", "absent"], "absent: no such folder"),
        (["--results", "{}/empty"], "no results files"),
        (["--expdir", "absent"], "absent: no such folder"),
        (["--expdir", "{}/results"], "no scored runs"),
    ],
)
def test_nothing_to_report_is_said_in_one_line(runs, capsys, options, message):
    (runs / "empty").mkdir()
    given = [option.format(runs) for option in options]
    assert main([*given, "--out", str(runs / "new/RESULTS.md")]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vqbn-report")]
    assert message in line
    assert not (runs / "new").exists()


def test_a_foreign_file_among_the_results_is_named(runs, capsys):
    (runs / "results/made/notes.json").write_text("{}")
    assert main(["--results", str(runs / "results"), "--out", str(runs / "RESULTS.md")]) == 1
    assert "notes.json: not a results file" in capsys.readouterr().err
    assert not (runs / "RESULTS.md").exists()
