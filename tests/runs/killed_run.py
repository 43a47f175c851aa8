"""Runs a training that is killed at given moments, each time in a process forked from this one: imports happen once.

Called as `killed_run.py WHOLE KILLED MOMENT... -- OPTION...`; a moment is `what:update`, an option one of vqbn-train's.
Trains into the folder WHOLE without interruption, and into KILLED with one at each moment; then to the end. Prints each
moment (None: the last run) with the exit status of its process, which is negative for a signal.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from vqbn.bin.train import main
from vqbn.runs import checkpoint, progress
from vqbn.runs.averaging import PolyakAveraging
from vqbn.runs.progress import Progress
from vqbn.tasks.recognition import training as recognition


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(what: str, update: int) -> None:
    """Patch this process so that it dies at a moment of an update, counted from 1."""
    step = [0]

    def patch(owner: object, name: str, fatal: Callable[..., None], before: bool = True) -> None:
        original = getattr(owner, name)

        def replacement(*args, **kwargs):
            if before and step[0] == update:
                fatal(*args)
            result = original(*args, **kwargs)
            if not before and step[0] == update:
                fatal(*args)
            return result

        setattr(owner, name, replacement)

    training_step = recognition.RecognitionTraining.training_step

    def count(self, batch, batch_idx):
        step[0] = self.trainer.global_step + 1
        return training_step(self, batch, batch_idx)

    recognition.RecognitionTraining.training_step = count

    def half_written(writer, contents, path, *_) -> None:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).with_name(".last.half.ckpt").write_bytes(b"half of a checkpoint")
        die()

    match what:
        case "forward":
            patch(recognition, "ctc_loss", lambda *_: die())
        case "stepped":
            patch(PolyakAveraging, "on_train_batch_end", lambda *_: die())
        case "clustering":
            for name, module in list(sys.modules.items()):
                if name.startswith("vqbn.bottleneck.") and callable(getattr(module, "kmeans", None)):
                    patch(module, "kmeans", lambda *_: die(), before=False)
        case "evaluation":
            patch(recognition, "evaluate", lambda *_: die())
        case "curve":
            patch(progress, "write_text", lambda *_: die())
        case "saving":
            patch(checkpoint.WholeFileIO, "save_checkpoint", half_written)
        case "best":
            patch(progress, "link_or_copy", lambda *_: die())
        case "saved":
            patch(Progress, "_save", lambda *_: die(), before=False)
        case _:
            raise ValueError(what)


def fork(expdir: str, options: list[str], moment: str | None = None) -> int:
    """Train in a process of its own; give its id."""
    child = os.fork()
    if child == 0:
        if moment:
            what, update = moment.split(":")
            kill_at(what, int(update))
        os._exit(main([*options, "--expdir", expdir]))
    return child


def status(child: int) -> int:
    """The exit status of a process, negative for a signal, once it ends."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run() -> None:
    split = sys.argv.index("--")
    whole, killed, moments, options = sys.argv[1], sys.argv[2], sys.argv[3:split], sys.argv[split + 1 :]
    beside = fork(whole, options)
    for moment in [*moments, None]:
        print(moment, status(fork(killed, options, moment)), flush=True)
    print("whole", status(beside))


if __name__ == "__main__":
    run()
