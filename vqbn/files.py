"""Files that are either whole or not there."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


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
