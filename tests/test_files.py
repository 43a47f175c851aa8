"""Files are whole or not there, whatever goes wrong, and what was there before stays."""

import errno
import os
from pathlib import Path

import pytest

from vqbn.files import replacing, write_text


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
