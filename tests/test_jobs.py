"""Work in several processes gives what work in one gives, and fails in one message."""

import logging
import os
import signal
import time
from pathlib import Path

import pytest

from vqbn import jobs
from vqbn.errors import InputError
from vqbn.jobs import map_jobs, progress


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Let the processes import this module."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def refuse(number: int) -> int:
    if number == 5:
        raise InputError(f"item {number} is bad")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)


def ignores_interrupts(number: int) -> bool:
    # Held back from the process's first moment on, and ignored once its imports are done.
    held = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return held and signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.parametrize("nj", [0, 1, 2])
def test_results_come_in_the_items_order(nj):
    results = list(map_jobs(square, range(40), nj))
    assert [value for value, _ in results] == [number * number for number in range(40)]
    own = {process == os.getpid() for _, process in results}
    assert own == {nj < 2}


@pytest.mark.parametrize("nj", [1, 2])
def test_what_a_job_raises_is_raised_here(nj):
    with pytest.raises(InputError, match="item 5 is bad"):
        list(map_jobs(refuse, range(8), nj))


def test_a_killed_process_is_an_input_error_that_says_what_to_do():
    with pytest.raises(InputError, match=r"crunching: a process was killed; .* use a smaller --nj"):
        list(map_jobs(die, range(4), 2, "crunching"))


def test_ctrl_c_is_left_to_the_parent():
    assert list(map_jobs(ignores_interrupts, range(2), 2)) == [True, True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_no_items_is_no_work():
    assert list(map_jobs(square, [], 3)) == []


@pytest.mark.parametrize(("total", "expected"), [(2, "spinning: 2 of 2"), (None, "spinning: 2")])
def test_long_work_is_logged_now_and_then(monkeypatch, caplog, total, expected):
    clock = iter([0, 5, 11, 11, 12])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(jobs.sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO):
        assert list(progress("ab", total, "spinning")) == ["a", "b"]
    assert caplog.messages == [expected]
