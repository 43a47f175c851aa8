"""Imports run one way through the rooms of docs/architecture.md, in no circle, and no task knows another."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "vqbn"
# From the top: each room may import those on later lines, and not the others on its own.
FLOORS = [
    ("bin",),
    ("espnet2",),
    ("tasks",),
    ("reports",),
    ("runs",),
    ("metrics",),
    ("corpora", "nets"),
    ("kaldi",),
    ("bottleneck",),
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = {
    ".".join(("vqbn", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imports(path: Path) -> set[str]:
    """The package's modules that a file imports anywhere: at its head, in functions, and for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # from vqbn.nets import ctc names a module, from vqbn.nets.ctc import ctc_loss what one holds.
            found |= {
                name if (name := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }
    return {name for name in found if name in MODULES}


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def room(module: str) -> str:
    """The first folder of a module; "" for one at the top of the package, which any may import."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else ""


def test_every_folder_is_a_room():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(FLOOR)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_down(module):
    for other in IMPORTS[module]:
        if not room(module):
            # `vqbn` itself gives the bottleneck's public names; errors, files and jobs know no room.
            assert room(other) in ("", "bottleneck"), other
        elif room(other) and room(other) != room(module):
            assert FLOOR[room(module)] < FLOOR[room(other)], other


@pytest.mark.parametrize("module", sorted(name for name in MODULES if room(name) in ("nets", "tasks", "espnet2")))
def test_the_bottleneck_is_known_by_its_public_names(module):
    assert not {other for other in IMPORTS[module] if other.startswith("vqbn.bottleneck.")}


def task(module: str) -> str:
    """The task whose folder a module is in, or ""."""
    found = re.match(r"vqbn\.tasks\.(\w+)", module)
    return found[1] if found else ""


@pytest.mark.parametrize("module", sorted(name for name in MODULES if task(name)))
def test_no_task_imports_another(module):
    assert {task(other) for other in IMPORTS[module]} <= {task(module), ""}


def test_no_command_is_named_after_a_task():
    tasks = {task(name) for name in MODULES} - {""}
    assert not [name for name in MODULES if room(name) == "bin" and any(each in name for each in tasks)]


def test_there_is_no_circle():
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in finished:
            return
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        for other in sorted(IMPORTS[module]):
            # A package's __init__ is run before its modules, which is no circle of names.
            if not module.startswith(f"{other}."):
                visit(other, (*path, module))
        finished.add(module)

    for module in MODULES:
        visit(module, ())


def test_the_page_about_it_has_the_rooms_in_order_and_names_files_that_there_are():
    text = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE) == [room for rooms in FLOORS for room in rooms]
    for path in re.findall(r"`((?:\w+/)+\w+\.\w+)`", text):
        assert any((folder / path).is_file() for folder in (PACKAGE, PACKAGE.parent)), path
