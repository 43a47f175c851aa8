"""Every guide in docs/ is run as it stands: Python blocks in their order, commands, and scripts that it writes."""

import importlib
import inspect
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(guide: str) -> list[tuple[str, str, str]]:
    """Language, file name if it is a file, and contents."""
    return BLOCK.findall((DOCS / guide).read_text(encoding="utf-8"))


def run_guide(guide: str, folder: Path) -> dict:
    """Run all blocks in a folder; returns the names that the Python blocks defined."""
    names: dict = {"__name__": "guide"}
    for language, file, text in blocks(guide):
        if file:
            (folder / file).write_text(text)
        elif language == "python":
            exec(compile(text, guide, "exec"), names)
        elif language == "sh":
            for line in text.splitlines():
                run_command(shlex.split(line))
    return names


def run_command(words: list[str]) -> None:
    """A command as a user gives it, without starting a process where that can be helped."""
    match words[0]:
        case "python":
            runpy.run_path(words[1], run_name="__main__")
        case "torchrun":
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *words[1:]]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            subprocess.run(command, check=True, env=environment, timeout=600)
        case name if name.startswith("vqbn-"):
            module = importlib.import_module(f"vqbn.bin.{name.removeprefix('vqbn-').replace('-', '_')}")
            assert module.main(words[1:]) == 0
        case name:
            raise AssertionError(f"the guides' test doesn't know {name}")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty current directory; what guides import from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("train", None)


# Of torch's exporter about itself.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:.*LeafSpec")
def test_the_guide_for_pytorch(folder, capfd):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    names = run_guide("pytorch.md", folder)
    assert [event.update for event in names["model"].bottleneck.reestimations] == [40, 80, 120]
    assert names["indices"].shape == (len(names["features"]["utt0"]), 1)
    out = capfd.readouterr().out
    assert "torch.Size([4, 50, 1]) of 128" in out
    assert "torch.Size([2, 8, 8, 64]) torch.Size([2, 8, 8, 8])" in out
    assert "torch.Size([2, 3, 32, 32]) torch.Size([2, 8, 8, 1])" in out
    assert "torch.Size([2, 32, 26])" in out
    normalized, denormalized = re.findall(r"^(.*) of the variance is left$", out, re.MULTILINE)
    assert float(normalized) > 3
    assert float(denormalized) < 0.4


def test_the_guide_for_settings(folder, capsys):
    names = run_guide("settings.md", folder)
    planned = names["bottleneck"].reestimation.updates()
    assert [event.update for event in names["bottleneck"].reestimations] == planned == [14, 27, 40, 53]
    out = capsys.readouterr().out
    assert str(planned) in out
    # So many vectors, and nearly all codewords, are what the settings promise.
    assert all(event.vectors >= 20 * 512 and event.used > 500 for event in names["bottleneck"].reestimations)
    assert names["bottleneck"].perplexity > 250


def test_the_guide_for_settings_has_those_of_the_recipes():
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `egs/(\w+)`.*$", text, re.MULTILINE)
    assert sorted(rows) == ["cifar10", "scribblelens", "speechocean762", "wsj"]
    for recipe in rows:
        line = next(line for line in text.splitlines() if line.startswith(f"| `egs/{recipe}`"))
        base = (DOCS.parent / "egs" / recipe / "conf" / "base.yaml").read_text(encoding="utf-8")
        keys = ("reestimation_start", "reestimation_every", "reestimation_until", "max_updates")
        values = [re.search(rf"^{key}: (\d+)", base, re.MULTILINE)[1] for key in keys]
        expected = [f"{int(value):,}" for value in values]
        assert [cell.strip() for cell in line.split("|")[5:-1]] == expected, recipe


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_guide_for_lightning_and_processes(folder, capfd):
    pytest.importorskip("lightning")
    run_guide("lightning.md", folder)
    printed = re.findall(r"^update (\d+): (\d+) vectors, (\d+) codewords used$", capfd.readouterr().out, re.MULTILINE)
    assert [update for update, _, _ in printed] == ["5", "10", "15"] * 2
    # The vectors of 4, then 5 updates: 16 x 50 of one process, twice that of two.
    assert [int(vectors) for _, vectors, _ in printed] == [3200, 4000, 4000, 6400, 8000, 8000]
    assert [used for _, _, used in printed] == ["32"] * 6


def test_the_guide_for_diagnosis(folder, capsys):
    pytest.importorskip("matplotlib")
    run_guide("diagnosis.md", folder)
    printed = capsys.readouterr().out
    shown = [text for language, _, text in blocks("diagnosis.md") if language == "text"]
    assert len(shown) == 2
    # The figures may differ in a digit from machine to machine; the lines may not.
    for text in shown:
        for line in text.splitlines():
            assert re.split(r"\s{2,}|\d", line.strip())[0] in printed, line
    assert printed.count("collapsed") == 1
    for picture in ("collapsed.png", "clustered.png"):
        assert (folder / picture).stat().st_size > 10_000
        assert (DOCS / "figures" / picture).is_file()


def test_links_between_the_documents_hold():
    for document in [*DOCS.glob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"


def test_the_migration_guide_names_arguments_that_there_are(folder):
    peers = pytest.importorskip("vector_quantize_pytorch")
    import vqbn

    run_guide("migration.md", folder)
    text = (DOCS / "migration.md").read_text(encoding="utf-8")
    table = text[text.index("## Arguments") : text.index("## Calls")]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 15
    their_arguments = inspect.signature(peers.VectorQuantize).parameters.keys()
    our_arguments = inspect.signature(vqbn.VQBottleneck).parameters.keys()
    for theirs, _, ours in rows:
        if "ResidualVQ" not in theirs:
            assert set(re.findall(r"`([a-z_]+)", theirs)) <= their_arguments, theirs
        names = set(re.findall(r"`([a-z_]+)(?:=[^`]*)?`", ours))
        assert names <= our_arguments, ours
    for default in ("decay", "commitment_weight"):
        value = inspect.signature(peers.VectorQuantize).parameters[default].default
        assert f"| `{default}` ({value}) |" in table
