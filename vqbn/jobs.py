"""The same work on many items, in several processes, with progress."""

import contextlib
import logging
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from rich.console import Console
from rich.progress import track

from vqbn.errors import InputError

logger = logging.getLogger(__name__)


def map_jobs(function: Callable, items: Iterable, nj: int = 1, description: str = "working") -> Iterator:
    """Yield `function(item)` in the items' order, computed in `nj` processes.

    Args:
        function: a picklable function of one item; what it raises is raised here.
        items: picklable items.
        nj: processes; 1 works in this one.
        description: what the progress display says.

    Raises:
        InputError: one of the processes was killed.
    """
    items = list(items)
    if nj <= 1 or len(items) <= 1:
        yield from progress(map(function, items), len(items), description)
        return
    context = multiprocessing.get_context("spawn")
    # Ctrl-C is for this process alone: it stops the others, and one message is enough
    ignore = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    with ProcessPoolExecutor(min(nj, len(items)), mp_context=context, **ignore) as pool:
        chunk = max(1, min(32, len(items) // (4 * nj)))
        try:
            with _interrupts_held():
                results = pool.map(function, items, chunksize=chunk)
            yield from progress(results, len(items), description)
        except BrokenProcessPool as error:
            raise InputError(f"{description}: a process was killed; if memory ran out, use a smaller --nj") from error


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """An interrupt is answered afterwards, and not by processes that start meanwhile, whose imports take seconds."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def progress(items: Iterable, total: int | None, description: str) -> Iterator:
    """Pass `items` on: a bar on a terminal, a log line every ten seconds elsewhere; `total` is None if unknown."""
    if sys.stderr.isatty():
        yield from track(items, description, total=total, console=Console(stderr=True))
        return
    last = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last > 10:
            last = time.monotonic()
            logger.info("%s: %d%s", description, number, "" if total is None else f" of {total}")
