"""What ESPnet would read by unpickling, read without running code, or refused.

ESPnet's data type `kaldi_ark` goes through kaldiio, which unpickles an item that begins with PKL; to resume, and for
`--init_param`, ESPnet unpickles whole files.
"""

import pickle
from pathlib import Path
from typing import BinaryIO

import torch
from kaldiio import matio

from vqbn.errors import InputError
from vqbn.espnet2.record import REPORTED


class _NoPickles:
    """What kaldiio takes for the module `pickle`."""

    dump = staticmethod(pickle.dump)

    @staticmethod
    def load(file: BinaryIO) -> object:
        where = getattr(file, "name", "an archive")
        raise InputError(f"{where}: has a pickle (PKL), which runs code when it is read; expected matrices or audio")


def refuse_pickles() -> None:
    """Let kaldiio refuse pickles in this process and those forked from it; the rest it reads as before."""
    matio.pickle = _NoPickles


def check_states(path: str | Path) -> None:
    """Refuse a file of weights or of a training's state that holds more than ESPnet writes there.

    Raises:
        InputError: it does, or can't be read.
    """
    try:
        with torch.serialization.safe_globals(REPORTED):
            torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; expected weights or a checkpoint") from None
    except Exception as error:  # what torch raises for damaged and foreign data is not specified
        first = str(error).strip().split("\n")[0][:120]
        raise InputError(f"{path}: damaged, or holds what could run code ({first}); nothing of it was run") from error
