"""What a scheduler's signals do to a training: it saves and ends, so that it can be started again."""

import logging
import os
import signal
import subprocess
import threading
from types import FrameType

logger = logging.getLogger(__name__)

# What a scheduler sends before it takes a job's machine away → the exit status that answers it. 99 asks Grid Engine to
# start the job again; SIGTERM is also sent to jobs that shall not be, so it is answered as by any program.
STATUS = {signal.SIGUSR1: 99, signal.SIGTERM: 128 + signal.SIGTERM}


class Stopped(Exception):
    """A training ended between two updates because a signal asked for it; everything that it did is saved.

    Args:
        message: one line for the user.
        asked: the signal.

    Attributes:
        status: the process's exit status.
    """

    def __init__(self, message: str, asked: signal.Signals):
        super().__init__(message)
        self.asked = asked
        self.status = STATUS[asked]


class StopSignals:
    """Within the block the signals of `STATUS` are noted in `received`, and do nothing else.

    Attributes:
        received: the first one; None: there was none.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._before = {}

    def __enter__(self) -> "StopSignals":
        self._before = {asked: signal.getsignal(asked) for asked in STATUS}
        self.watch()
        return self

    def __exit__(self, *_) -> None:
        self._set(self._before)

    def watch(self) -> None:
        """Note the signals, whatever else has taken them over since."""
        self._set(dict.fromkeys(STATUS, self._note))

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)

    def _set(self, handlers: dict) -> None:
        # Python lets no other thread do this.
        if threading.current_thread() is threading.main_thread():
            for asked, handler in handlers.items():
                signal.signal(asked, handler)


def requeue() -> None:
    """In a Slurm job, ask for it to be started again; Grid Engine needs to see the exit status alone."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = (getattr(error, "stderr", "") or str(error)).strip()
        logger.warning("scontrol requeue %s failed (%s): start the same command again", job, why)
    else:
        logger.info("asked Slurm to start job %s again", job)
