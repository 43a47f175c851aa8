"""Where the installed commands begin, before anything heavy is imported: an interrupt is answered from then on."""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

STOPPED = 128 + signal.SIGINT


def __getattr__(module: str) -> Callable[[], int]:
    # What setup.py names `vqbn.bin.start:train` runs `main` of vqbn.bin.train.
    if module.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {module!r}")
    return functools.partial(start, module)


def start(module: str) -> int:
    """Import a command and run it with the process's arguments.

    Args:
        module: its name in vqbn.bin, such as "make_features".

    Returns:
        The exit status.
    """
    answer_interrupts(command_name(module))
    return importlib.import_module(f"vqbn.bin.{module}").main()


def command_name(module: str) -> str:
    """What users type for a module of vqbn.bin: vqbn-make-features."""
    return "vqbn-" + module.rpartition(".")[2].replace("_", "-")


def answer_interrupts(name: str) -> None:
    """From now on an interrupt (SIGINT) of this process is one line and status 130 even where no code could catch it.

    Interrupts that whoever started the process has ignored, as `nohup` does, stay ignored.

    Args:
        name: the command's name.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, functools.partial(_interrupted, name, os.getpid()))


def say_stopped(name: str) -> None:
    """Say it on stderr; in a recipe's script, which sets VQBN_SCRIPT, the script says it for all of its commands."""
    if not os.environ.get("VQBN_SCRIPT"):
        print(f"{name}: stopped", file=sys.stderr)


def _interrupted(name: str, process: int, number: int, frame: FrameType | None) -> None:
    if os.getpid() == process and not _is_caught(frame):
        say_stopped(name)
        sys.stdout.flush()
        os._exit(STOPPED)
    raise KeyboardInterrupt


def _is_caught(frame: FrameType | None) -> bool:
    """Whether a KeyboardInterrupt would come out of `frame` as one, and meet `command`.

    Packages may swallow what is raised while they are imported, or turn it into an ImportError.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return False
        if frame.f_globals.get("__name__") == "vqbn.bin.command":
            return True
        frame = frame.f_back
    return False
