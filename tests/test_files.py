"""Files are whole or not there, whatever goes wrong, and what was there before stays."""

import errno
import fcntl
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vqbn.errors import InputError
from vqbn.files import locked, replacing, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "a").write_text(content)


def test_a_file_appears_in_folders_that_are_made_for_it(tmp_path):
    write_text(tmp_path / "x/y/file.txt", "è\n")
    assert (tmp_path / "x/y/file.txt").read_bytes() == "è\n".encode()
    assert names(tmp_path / "x/y") == ["file.txt"]


def test_the_target_is_untouched_until_the_end(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with replacing(target) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "file"
    target.write_text("old")

    def fail():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_replaces_a_folder_as_a_whole(tmp_path):
    fill(tmp_path / "set", "old")
    (tmp_path / "set/stale").write_text("")
    with replacing(tmp_path / "set") as temporary:
        fill(temporary, "new")
    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == ["a"]
    assert (tmp_path / "set/a").read_text() == "new"


@pytest.mark.parametrize("existing", [True, False])
def test_a_folder_that_fails_leaves_the_old_one(tmp_path, existing):
    if existing:
        fill(tmp_path / "set", "old")

    def fail():
        with replacing(tmp_path / "set") as temporary:
            fill(temporary, "new")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert names(tmp_path) == (["set"] if existing else [])
    assert not existing or (tmp_path / "set/a").read_text() == "old"


def test_a_folder_comes_back_if_it_can_not_be_replaced(tmp_path, monkeypatch):
    fill(tmp_path / "set", "old")
    replace = os.replace

    def refuse(source, target):
        if Path(target) == tmp_path / "set" and not str(source).endswith(".old"):
            raise OSError(errno.EIO, "Input/output error", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="Input/output error"), replacing(tmp_path / "set") as temporary:
        fill(temporary, "new")
    assert names(tmp_path) == ["set"]
    assert (tmp_path / "set/a").read_text() == "old"


def test_a_full_disk_names_the_target_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")

    def fail():
        with replacing(target) as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_text("x" * 100_000)

    with pytest.raises(OSError, match="No space left on device") as caught:
        fail()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(target)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_names_the_target(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(PermissionError) as caught:
        write_text(tmp_path / "closed/file", "x")
    assert caught.value.filename == str(tmp_path / "closed/file")


def test_no_permission_names_the_target_and_not_the_temporary_file(tmp_path):
    with pytest.raises(PermissionError) as caught, replacing(tmp_path / "file") as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert caught.value.filename == str(tmp_path / "file")


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "file"):
        (tmp_path / "other").read_text()
    assert caught.value.filename == str(tmp_path / "other")


HOLD = """
import os, sys, time
from vqbn.files import locked
with locked(sys.argv[1]):
    if os.fork() == 0:
        time.sleep(60)
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of tmp_path/run, and has a child."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_folder_in_use_is_refused_saying_by_whom(tmp_path, holder):
    with pytest.raises(InputError) as caught, locked(tmp_path / "run"):
        pass
    assert str(caught.value).startswith(f"{tmp_path / 'run'}: in use by -c (process {holder.pid} on {platform.node()}")
    assert ", since 2" in str(caught.value)


def test_the_lock_falls_with_the_process_whatever_its_children_do(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert names(tmp_path / "run") == [".lock"]
    with locked(tmp_path / "run"):
        assert f"(process {os.getpid()} on " in (tmp_path / "run/.lock").read_text()
    assert names(tmp_path / "run") == []


def test_a_lock_is_also_for_the_same_process_and_falls_with_an_error(tmp_path):
    folder = tmp_path / "a/b"

    def fail():
        with locked(folder):
            with pytest.raises(InputError, match="in use by"), locked(folder):
                pass
            with locked(folder / "file", beside=True):
                assert {".file.lock", ".lock"} <= set(names(folder))
                (folder / "x").write_text("")
                raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            fail()
    assert names(folder) == ["x"]


def test_a_lock_leaves_no_folder_where_nothing_was_written(tmp_path):
    with locked(tmp_path / "data"):
        pass
    assert names(tmp_path) == []


def test_a_lock_whose_file_is_removed_meanwhile_is_taken_on_a_new_one(tmp_path, monkeypatch):
    lock, removed = fcntl.flock, []

    def slow(descriptor, how):
        if not removed:
            removed.append((tmp_path / ".lock").unlink())
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with locked(tmp_path):
        assert removed
        assert names(tmp_path) == [".lock"]
        with pytest.raises(InputError, match="in use by"), locked(tmp_path):
            pass


def test_without_locks_of_the_file_system_there_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path):
        assert f"{tmp_path}: this file system has no locks" in caplog.text
    assert names(tmp_path) == []
