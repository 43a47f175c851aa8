"""The same work on many items, in several processes, with progress."""

import logging
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.progress import track

logger = logging.getLogger(__name__)


def map_jobs(function: Callable, items: Iterable, nj: int = 1, description: str = "working") -> Iterator:
    """Yield `function(item)` in the items' order, computed in `nj` processes.

    Args:
        function: a picklable function of one item; what it raises is raised here.
        items: picklable items.
        nj: processes; 1 works in this one.
        description: what the progress display says.
    """
    items = list(items)
    if nj <= 1 or len(items) <= 1:
        yield from progress(map(function, items), len(items), description)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(nj, len(items)), mp_context=context) as pool:
        chunk = max(1, min(32, len(items) // (4 * nj)))
        yield from progress(pool.map(function, items, chunksize=chunk), len(items), description)


def progress(items: Iterable, total: int, description: str) -> Iterator:
    """Pass `items` on: a bar on a terminal, a log line every ten seconds elsewhere."""
    if sys.stderr.isatty():
        yield from track(items, description, total=total, console=Console(stderr=True))
        return
    last = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last > 10:
            last = time.monotonic()
            logger.info("%s: %d of %d", description, number, total)
