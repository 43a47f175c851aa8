"""Cepstral mean and variance normalisation (CMVN) from Kaldi's statistics."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import kaldiio
import numpy as np

from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.item import ForeignItemError, read_item

Group = TypeVar("Group", bound=Hashable)

VARIANCE_FLOOR = 1e-10


@dataclass(frozen=True)
class Cmvn:
    """Sums over frames from which mean and standard deviation follow.

    Attributes:
        stats: float64 (2, dims + 1), Kaldi's layout: row 0 the sums and then the number of frames, row 1 the sums of
            squares and then 0.
    """

    stats: np.ndarray

    def __add__(self, other: "Cmvn") -> "Cmvn":
        """Pool the statistics of two sets of frames."""
        return Cmvn(self.stats + other.stats)

    @property
    def frames(self) -> float:
        """How many frames were summed."""
        return float(self.stats[0, -1])

    @cached_property
    def mean(self) -> np.ndarray:
        """float64 (dims,)."""
        return self.stats[0, :-1] / self.frames

    @cached_property
    def std(self) -> np.ndarray:
        """float64 (dims,); the variance is floored at 1e-10, as in the authors' code."""
        return np.sqrt(np.maximum(self.stats[1, :-1] / self.frames - self.mean**2, VARIANCE_FLOOR))

    def normalise(self, features: np.ndarray) -> np.ndarray:
        """Give features (frames, dims) with the set's mean taken away and divided by its deviation, float32."""
        scale = 1 / self.std
        return features * scale.astype(np.float32) - (self.mean * scale).astype(np.float32)


def accumulate(matrices: Iterable[np.ndarray]) -> Cmvn:
    """Sum over all frames of some feature matrices (frames, dims), in float64.

    Raises:
        ValueError: there are no matrices.
    """
    sums = accumulate_groups(((None,), matrix) for matrix in matrices)
    if not sums:
        raise ValueError("no feature matrices to accumulate CMVN statistics from")
    return sums[None]


def accumulate_groups(items: Iterable[tuple[Iterable[Group], np.ndarray]]) -> dict[Group, Cmvn]:
    """Sum over all frames of each group of feature matrices, in float64.

    Args:
        items: the groups that a matrix belongs to, and the matrix (frames, dims).

    Returns:
        Group → its statistics, in the order in which groups first came.
    """
    sums: dict[Group, Cmvn] = {}
    for groups, matrix in items:
        matrix = matrix.astype(np.float64)
        stats = np.zeros((2, matrix.shape[1] + 1))
        stats[0, :-1] = matrix.sum(axis=0)
        stats[0, -1] = len(matrix)
        stats[1, :-1] = np.einsum("td,td->d", matrix, matrix)
        for group in groups:
            sums[group] = sums[group] + Cmvn(stats) if group in sums else Cmvn(stats)
    return sums


def write_cmvn(path: str | Path, cmvn: Cmvn) -> None:
    """Write the statistics as one binary Kaldi matrix of doubles, which Kaldi's apply-cmvn takes."""
    with replacing(path) as temporary:
        kaldiio.save_mat(str(temporary), np.ascontiguousarray(cmvn.stats, dtype=np.float64))


def read_cmvn(path: str | Path, dims: int | None = None) -> Cmvn:
    """Read global statistics that `write_cmvn` or Kaldi's compute-cmvn-stats wrote.

    Args:
        path: the file.
        dims: how many dimensions the features have, if that is to be checked.

    Raises:
        InputError: the file is missing, or doesn't hold statistics of that many dimensions.
    """
    try:
        with open(path, "rb") as file:
            stats = read_item(file)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; stage 2 makes the CMVN statistics") from error
    except ForeignItemError as error:
        raise InputError(f"{path}: {error}; run stage 2 again") from error
    except Exception as error:  # what kaldiio raises for a damaged file is not specified
        raise InputError(f"{path}: damaged, or not a Kaldi matrix; run stage 2 again") from error
    return _checked(stats, str(path), dims)


def read_speaker_cmvn(path: str | Path, dims: int | None = None) -> dict[str, Cmvn]:
    """Read the statistics of each speaker, as Kaldi's compute-cmvn-stats --spk2utt writes them.

    Args:
        path: the `scp`, lines `speaker ark:offset`.
        dims: how many dimensions the features have, if that is to be checked.

    Raises:
        InputError: the file is missing, or doesn't hold statistics of that many dimensions.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; to normalise each speaker, run stage 2 with --cmvn speaker")
    return {speaker: _checked(stats, f"{path}: '{speaker}'", dims) for speaker, stats in read_scp(path).items()}


def _checked(stats: np.ndarray, where: str, dims: int | None) -> Cmvn:
    """What was read, if it is statistics."""
    if stats.ndim != 2 or stats.shape[0] != 2 or not np.isfinite(stats).all():
        raise InputError(f"{where}: not CMVN statistics; expected a finite matrix of 2 rows; run stage 2 again")
    if dims is not None and stats.shape[1] != dims + 1:
        raise InputError(f"{where}: statistics of {stats.shape[1] - 1} dimensions; expected {dims}; run stage 2 again")
    if stats[0, -1] <= 0:
        raise InputError(f"{where}: CMVN statistics of no frames; run stage 2 again")
    return Cmvn(stats.astype(np.float64))
