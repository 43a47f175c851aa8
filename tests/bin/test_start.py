"""Commands answer an interrupt with one line and status 130, wherever it comes: among their imports too."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vqbn.bin import start

TOP = Path(__file__).resolve().parents[2]
# A package that says when it is being imported, and swallows what is raised meanwhile.
SWALLOWING = """
import pathlib, time
pathlib.Path({marker!r}).touch()
while True:
    try:
        time.sleep(30)
    except BaseException:
        pass
"""
AS_A_SCRIPT = ("-c", "import sys; from vqbn.bin.start import {module}; sys.exit({module}())")
AS_A_MODULE = ("-m", "vqbn.bin.{module}")


def interrupted(folder: Path, command, package: str, *arguments: str, **environment: str):
    """Run a command until it imports a package, interrupt it there; its status and what it said."""
    marker = folder / "importing"
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(SWALLOWING.format(marker=str(marker)))
    process = subprocess.Popen(
        [sys.executable, *command, *arguments],
        env=os.environ | {"PYTHONPATH": f"{folder}:{TOP}"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Also where the tests run in the background, which ignores interrupts.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        end = time.monotonic() + 60
        while not marker.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out + err


# numpy is imported at the module's head, yaml once the options are read.
@pytest.mark.parametrize("how", [AS_A_SCRIPT, AS_A_MODULE])
@pytest.mark.parametrize(
    ("module", "package", "arguments"),
    [("make_features", "numpy", ()), ("score_trn", "yaml", ("--ref", "ref.trn", "--hyp", "hyp.trn"))],
)
def test_an_interrupt_during_imports_is_one_line_and_status_130(tmp_path, how, module, package, arguments):
    command = [part.format(module=module) for part in how]
    expected = (130, f"vqbn-{module.replace('_', '-')}: stopped\n")
    assert interrupted(tmp_path, command, package, *arguments) == expected


def test_in_a_recipe_the_script_says_it(tmp_path):
    command = ["-m", "vqbn.bin.make_features"]
    assert interrupted(tmp_path, command, "numpy", VQBN_SCRIPT="egs/wsj/run.sh") == (130, "")


def test_importing_the_commands_leaves_a_programs_signals_alone():
    # Whoever starts the tests may ignore interrupts, and children inherit that.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import vqbn.bin.command; "
    code += "import vqbn.bin.start as s; s.train; print(signal.getsignal(signal.SIGINT))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP)
    assert "default_int_handler" in done.stdout


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_interrupts_that_somebody_else_answers_are_left_to_him(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        start.answer_interrupts("vqbn-test")
        assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_every_installed_command_is_a_module_of_that_name():
    commands = dict(re.findall(r'^    "(vqbn-[\w-]+)": "(\w+)",$', (TOP / "setup.py").read_text(), re.MULTILINE))
    assert len(commands) > 20
    for name, module in commands.items():
        assert start.command_name(module) == name
        assert callable(getattr(start, module))
        assert (TOP / "vqbn/bin" / f"{module}.py").is_file()
