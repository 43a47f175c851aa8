"""The recipes' guides name what there is: options, files, commands, numbers of the corpus."""

import re
from pathlib import Path

import pytest

from vqbn.corpora.wsj import SETS

TOP = Path(__file__).resolve().parents[2]
README = sorted(TOP.glob("egs/*/README.md"))


def sources(recipe: Path) -> str:
    """Everything that takes options in a recipe: its scripts, the job runner, the commands, the keys, benchmarks."""
    files = [*recipe.glob("*.sh"), *recipe.glob("local/*.sh"), *TOP.glob("utils/*.sh"), *TOP.glob("vqbn/bin/*.py")]
    files += [*TOP.glob("vqbn/runs/*.py"), *TOP.glob("vqbn/tasks/*/*.py"), *TOP.glob("tests/benchmarks/*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("readme", README, ids=lambda path: path.parent.name)
def test_options_and_files_exist(readme):
    text, known = readme.read_text(encoding="utf-8"), sources(readme.parent)
    options = set(re.findall(r"--([a-z][a-z0-9_]+)", text))
    assert options
    assert {name for name in options if not re.search(rf"(?<![a-z]){name}(?![a-z_])", known)} == set()
    for path in re.findall(r"`((?:conf|local|utils|egs(?!/wsj/s5)|tests|results)/[\w./-]+\.\w+)", text):
        assert (readme.parent / path).exists() or (TOP / path).exists(), path
    for command in re.findall(r"`(vqbn-[a-z0-9-]+)", text):
        assert f'"{command}"' in known, command


def test_the_sets_of_wsj_have_the_numbers_that_stage_0_expects():
    text = (TOP / "egs/wsj/README.md").read_text(encoding="utf-8")
    for name in ("train_si284", "test_dev93", "test_eval92"):
        assert f"| `{name}` | {SETS[name].utterances:,} |" in text
    for name in ("train_si84", "test_eval93"):
        assert f"`{name}` ({SETS[name].utterances:,})" in text
