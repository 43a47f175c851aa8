"""Files that are either whole or not there, and folders that one process at a time writes."""

import contextlib
import errno
import fcntl
import logging
import os
import platform
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from vqbn.errors import InputError

logger = logging.getLogger(__name__)

# The locks of this process, by file descriptor.
_locks: set[int] = set()


@contextlib.contextmanager
def replacing(target: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `target`; move what was written there onto `target` when the block ends well.

    The file, or folder, at `target` is untouched until then. If the block raises, what was written is removed.
    A folder replaces an existing folder as a whole.

    Args:
        target: the file or folder to make; its parent folders are made.

    Yields:
        A path in the same folder that does not exist yet, with the same suffix as `target`.

    Raises:
        OSError: the folder can't be written or the disk is full; its `filename` is the target.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}-{uuid.uuid4().hex[:6]}{target.suffix}")
    try:
        yield temporary
        if temporary.is_dir() and target.is_dir():
            retired = temporary.with_name(temporary.name + ".old")
            os.replace(target, retired)
            try:
                os.replace(temporary, target)
            except BaseException:
                os.replace(retired, target)
                raise
            shutil.rmtree(retired)
        else:
            os.replace(temporary, target)
    except OSError as error:
        # A failed write (a full disk) names no file, and the temporary one means nothing to the user.
        if error.errno is not None and error.filename in (None, temporary, str(temporary)):
            error.filename = str(target)
        raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write `text` as UTF-8 to `target`, whole or not at all."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def locked(target: str | os.PathLike, beside: bool = False) -> Iterator[None]:
    """Let no other process into a block about the same folder, or file.

    The lock is the system's (flock): it falls with the process, however that ends; a file that is left behind locks
    nothing. On a file system without locks the block runs all the same, with a warning.

    Args:
        target: a folder, which is made if it isn't there.
        beside: keep the lock's file beside `target`, which may then be a file, or a folder that is replaced as a whole.

    Raises:
        InputError: another process holds the lock; the message says which, on which machine, and since when.
        OSError: the folder can't be written.
    """
    target = Path(target)
    path = target.absolute().with_name(f".{target.name}.lock") if beside else target / ".lock"
    made = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(path, target)
    _locks.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = f"{Path(sys.argv[0]).name} (process {os.getpid()} on {platform.node()}, since {since})\n"
        os.write(descriptor, holder.encode())
        yield
    finally:
        # Not in a forked child that comes by here.
        if descriptor in _locks:
            path.unlink(missing_ok=True)
            _locks.remove(descriptor)
            os.close(descriptor)
            if made:
                with contextlib.suppress(OSError):
                    path.parent.rmdir()  # where nothing was written


def _lock(path: Path, target: Path) -> int:
    """Open and lock a file that stands for `target`; gives its descriptor, and errors as `locked`."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed the file after we opened it.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            holder = os.read(descriptor, 1000).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise InputError(f"{target}: in use by {holder}; wait for its end, or stop it") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
                os.close(descriptor)
                raise
            logger.warning("%s: this file system has no locks: see that nothing else writes here", target)
            return descriptor
        os.close(descriptor)


def _leave_locks() -> None:
    """In a child, which would keep the lock of a parent that is killed."""
    for descriptor in _locks:
        os.close(descriptor)
    _locks.clear()


os.register_at_fork(after_in_child=_leave_locks)
