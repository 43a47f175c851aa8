"""How the benchmarks measure: all sides in turn, round by round, so that other load strikes all of them."""

import argparse
import contextlib
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

Sides = dict[str, Callable[[], object]]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def have(module: str) -> bool:
    """Whether a peer is installed."""
    return importlib.util.find_spec(module) is not None


def options(description: str) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads to measure with")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default: 5)")
    parser.add_argument("--quick", action="store_true", help="small sizes only, to see that all sides run")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: processor time, which other programs stretch less; it adds up threads, so use it with one",
    )
    return parser


@contextlib.contextmanager
def limited_to(threads: int) -> Iterator[None]:
    """So many threads for torch, and for the libraries of the peers."""
    torch.set_num_threads(threads)
    with contextlib.ExitStack() as stack:
        if have("threadpoolctl"):
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(threads))
        load = os.getloadavg()[0]
        print(
            f"\n== torch {torch.__version__}, {threads} thread(s), load of the machine before: {load:.1f}", flush=True
        )
        yield


def medians(sides: Sides, rounds: int, clock: str = "wall") -> dict[str, float]:
    """Median seconds of each side, called in turn; one round more comes first and isn't counted."""
    now = CLOCKS[clock]
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            start = now()
            side()
            if number:
                seconds[name].append(now() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_row(label: str, seconds: dict[str, float], scale: float = 1e3) -> None:
    """A row of medians, each with its multiple of the first side's."""
    ours = next(iter(seconds.values()))
    cells = [f"{name} {value * scale:9.2f} ({value / ours:5.2f})" for name, value in seconds.items()]
    print(f"{label:24}" + "  ".join(cells), flush=True)


def print_ratio(what: str, found: float, target: float, most: bool) -> None:
    """A ratio beside its target: at most, or at least."""
    met = found <= target if most else found >= target
    print(f"    {what}: {found:.3g}; target {'at most' if most else 'at least'} {target:g}{'' if met else '  MISSED'}")


def tiled_product(x: torch.Tensor, codebook: torch.Tensor) -> Callable[[], None]:
    """The yardstick: a float32 matrix product in tiles of 1,024 rows into a buffer used again."""
    buffer = torch.empty(1024, len(codebook))

    def run() -> None:
        for rows in x.split(1024):
            torch.mm(rows, codebook.t(), out=buffer[: len(rows)])

    return run


def peak_memory(make: Callable[[], Callable[[], object]]) -> float:
    """MiB that a call takes at most beyond what was resident before it (Linux), in a process of its own.

    Args:
        make: makes the inputs and returns what to call.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            side = make()
            Path("/proc/self/clear_refs").write_text("5")
            before = _resident("VmRSS")
            side()
            os.write(writer, f"{_resident('VmHWM') - before}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return float(answer.read() or "nan")


def _resident(kind: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) / 1024
