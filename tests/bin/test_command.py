"""Commands tell bad input and file errors in one line, with status 1 and no traceback."""

import errno
import os
import subprocess
import sys

import pytest

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.files import write_text


def failing(error: BaseException):
    @command("vqbn-test")
    def main(argv):
        raise error

    return main


def message(capsys) -> str:
    """The one line on stderr."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3)])
def test_the_status_is_what_main_returns(returned, status, capsys):
    assert command("vqbn-test")(lambda argv: returned)([]) == status
    assert capsys.readouterr().err == ""


def test_arguments_come_from_the_command_line_by_default(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vqbn-test", "--a", "b"])
    seen = []
    command("vqbn-test")(seen.extend)()
    assert seen == ["--a", "b"]


def test_bad_input_is_one_line_even_if_its_message_has_several(capsys):
    assert failing(InputError("conf.yaml:3: found\n  'x',\texpected a number"))([]) == 1
    assert message(capsys) == "vqbn-test: error: conf.yaml:3: found 'x', expected a number"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, "out/x: No space left on device (free some space and run the same command again; "),
        (errno.EACCES, "out/x: Permission denied (check the permissions of the file and its folder)"),
        (errno.EROFS, "out/x: Read-only file system (write to a folder on a writable disk)"),
        (errno.ENOENT, "out/x: No such file or directory (check the path)"),
        (errno.EISDIR, "out/x: Is a directory"),
    ],
)
def test_a_file_error_names_the_file_and_says_what_to_do(capsys, code, expected):
    assert failing(OSError(code, os.strerror(code), "out/x"))([]) == 1
    assert message(capsys).startswith(f"vqbn-test: error: {expected}")


def test_a_file_error_without_a_file_is_still_a_sentence(capsys):
    assert failing(OSError("the disk is tired"))([]) == 1
    assert message(capsys) == "vqbn-test: error: a file: the disk is tired"


def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path, capsys, monkeypatch):
    target = tmp_path / "scores.json"
    target.write_text("old")

    @command("vqbn-test")
    def main(argv):
        write_text(target, "new")

    def full(self, *_, **__):
        self.symlink_to("/dev/full")
        with open(self, "w") as file:
            file.write("x" * 100_000)

    monkeypatch.setattr(type(target), "write_text", full)
    assert main([]) == 1
    assert message(capsys).startswith(f"vqbn-test: error: {target}: No space left on device (free some space")
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]


def test_an_interrupt_is_status_130(capsys):
    assert failing(KeyboardInterrupt())([]) == 130
    assert message(capsys) == "vqbn-test: stopped"


def test_a_defect_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())([])


def test_a_real_process_prints_one_line_and_exits_1(tmp_path):
    script = "from vqbn.bin.align import main; raise SystemExit(main())"
    process = subprocess.run(
        [sys.executable, "-c", script, "--set", str(tmp_path / "nowhere")], capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"vqbn-align: error: {tmp_path / 'nowhere'}: no such folder")
