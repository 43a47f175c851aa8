"""What every command does around its own work: logging, and errors as one line."""

import errno
import functools
import logging
import sys
from collections.abc import Callable

from vqbn.bin.start import STOPPED, say_stopped
from vqbn.errors import InputError


def command(name: str) -> Callable:
    """Wrap `main(argv) -> int | None`: log to stderr; turn bad input and file errors into one line and status 1.

    Args:
        name: the command's name as users type it; it begins each error line.
    """

    def decorate(main: Callable) -> Callable:
        @functools.wraps(main)
        def run(argv: list[str] | None = None) -> int:
            logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
            try:
                return main(sys.argv[1:] if argv is None else argv) or 0
            except InputError as error:
                message = str(error)
            except OSError as error:
                message = describe(error)
            except KeyboardInterrupt:
                say_stopped(name)
                return STOPPED
            print(f"{name}: error: {' '.join(message.split())}", file=sys.stderr)
            return 1

        return run

    return decorate


def describe(error: OSError) -> str:
    """One line for a file error: the file, what happened, what to do."""
    advice = {
        errno.ENOSPC: "free some space and run the same command again; what was finished is kept",
        errno.EACCES: "check the permissions of the file and its folder",
        errno.EROFS: "write to a folder on a writable disk",
        errno.ENOENT: "check the path",
    }.get(error.errno, "")
    what = error.strerror or str(error)
    return f"{error.filename or 'a file'}: {what}" + (f" ({advice})" if advice else "")
