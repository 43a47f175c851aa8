"""tools/setup.sh and the job runner, without installing anything."""

import os
import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def programs(folder: Path, *names: str) -> str:
    """A PATH with just the given programs and an old python3."""
    folder.mkdir()
    for name in ("bash", "env", "dirname", "date", "sed", "grep", "head", "cat", "cksum", "paste", *names):
        (folder / name).symlink_to(shutil.which(name))
    (folder / "python3").write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1\nexit 1\n')
    (folder / "python3").chmod(0o755)
    return str(folder)


def test_setup_names_the_python_versions_that_it_needs(tmp_path):
    environment = {"PATH": programs(tmp_path / "bin"), "HOME": str(tmp_path)}
    result = subprocess.run(
        ["bash", str(TOP / "tools/setup.sh"), "--venv", str(tmp_path / "venv")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "Python 3.11 to 3.13" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_setup_names_the_package_where_venv_is_missing(tmp_path):
    path = programs(tmp_path / "bin", "rm")
    (tmp_path / "bin/python3").write_text('#!/bin/sh\n[ "$1" = -m ] && exit 1\nexit 0\n')
    result = subprocess.run(
        ["bash", str(TOP / "tools/setup.sh"), "--venv", str(tmp_path / "venv")],
        env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr


def test_a_job_has_its_command_and_its_status_in_its_log(tmp_path):
    log = tmp_path / "job.log"
    result = subprocess.run(
        [TOP / "utils/run_job.sh", log, "sh", "-c", "echo going; echo wrong >&2; exit 3"],
        capture_output=True,
        text=True,
        env=dict(os.environ, VQBN_ECHO="0"),
    )
    lines = log.read_text().splitlines()
    assert result.returncode == 3
    assert lines[0].startswith("# sh -c")
    assert lines[2:4] == ["going", "wrong"]
    assert lines[-1].startswith("# ended with status 3 after")
    assert "wrong" in result.stderr


def test_setup_leaves_espnet_out_without_a_compiler_and_says_so(tmp_path):
    result = subprocess.run(
        ["bash", str(TOP / "tools/setup.sh"), "--extras", "espnet", "--venv", str(tmp_path / "venv")],
        env={"PATH": programs(tmp_path / "bin"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert "leaving out ESPnet: it compiles pyworld and there is no C++ compiler" in result.stderr
    assert not (tmp_path / "venv").exists()
