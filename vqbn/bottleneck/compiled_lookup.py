"""The lookup on an x86-64 CPU as one pass: scores stay in registers, and only indices are written.

`compiled_lookup.cpp` is compiled when the package is installed, where there is a C++ compiler; see `setup.py`.
"""

import ctypes
import functools
import logging
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch

logger = logging.getLogger(__name__)


def lanes() -> int:
    """Lanes of the registers that the kernel uses here: 16 or 8; 0 where it wasn't compiled or can't run."""
    library = _library()
    return 0 if library is None else library.vqbn_lanes()


def compiled_nearest_codes(
    x: torch.Tensor, codebooks: torch.Tensor, centres: torch.Tensor, lanes: int
) -> torch.Tensor | None:
    """The nearest codewords (the paper's equation 1), as `nearest_codes` promises them.

    Args:
        x: vectors, float of any width, (N, C, D), on the CPU like all else. No dimension may be 0.
        codebooks: float of any width, (C, K, D).
        centres: what is subtracted from vectors and codewords, finite float32 (C, D).
        lanes: what `lanes()` gives, or less.

    Returns:
        Code indices, int64 (N, C); None where memory doesn't suffice. The same for any number of threads and lanes.
    """
    x, codebooks, centres = x.float(), codebooks.float().contiguous(), centres.contiguous()
    if x.stride(2) != 1:
        x = x.contiguous()
    count, num_codebooks, dim = x.shape
    indices = torch.empty(count, num_codebooks, dtype=torch.int64)
    failed = _library().vqbn_nearest_codes_1(
        x.data_ptr(),
        count,
        x.stride(0),
        x.stride(1),
        codebooks.data_ptr(),
        centres.data_ptr(),
        num_codebooks,
        codebooks.shape[1],
        dim,
        indices.data_ptr(),
        torch.get_num_threads(),
        lanes,
    )
    return None if failed else indices


@functools.cache
def _library() -> ctypes.CDLL | None:
    # torch has been imported and has loaded its OpenMP by now: the kernel then works with the same threads.
    paths = [Path(__file__).with_name(f"_compiled_lookup{suffix}") for suffix in EXTENSION_SUFFIXES]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    try:
        library = ctypes.CDLL(str(path))
        library.vqbn_nearest_codes_1.argtypes = [
            *(pointer, number, number, number),
            *(pointer, pointer, number, number, number),
            *(pointer, ctypes.c_int, ctypes.c_int),
        ]
    except (OSError, AttributeError) as error:
        logger.warning(
            "codes are looked up without the compiled kernel: %s; install vqbn again to compile it for this machine "
            "and version",
            error,
        )
        return None
    return library
