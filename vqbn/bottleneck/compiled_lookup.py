"""The lookup on an x86-64 CPU as one pass: scores stay in registers, and only indices are written.

`setup.py` has `compiled_lookup.cpp` and `tile_lookup.cpp` compiled when the package is installed, if there is a C++
compiler.
"""

import ctypes
import enum
import functools
import logging
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch

logger = logging.getLogger(__name__)


class Kernel(enum.IntEnum):
    """What the lookup is made of, each faster than the one before; all give the same indices."""

    NONE = 0
    AVX2 = 1
    AVX512 = 2
    AMX = 3


# With fewer dimensions, codewords or pairs of a vector and a codeword, tiles aren't worth preparing.
_FEWEST_DIMENSIONS, _FEWEST_CODEWORDS, _FEWEST_PAIRS = 32, 128, 1 << 17


@functools.cache
def best_kernel() -> Kernel:
    """The fastest kernel that this processor runs; NONE where they weren't compiled or can't run."""
    library = _library()
    return Kernel.NONE if library is None else Kernel(library.vqbn_best_kernel())


def compiled_nearest_codes(
    x: torch.Tensor, codebooks: torch.Tensor, centres: torch.Tensor, kernel: Kernel
) -> torch.Tensor | None:
    """The nearest codewords (the paper's equation 1), as `nearest_codes` promises them.

    Args:
        x: vectors, float of any width, (N, C, D), on the CPU like all else. No dimension may be 0.
        codebooks: float of any width, (C, K, D).
        centres: what is subtracted from vectors and codewords, float32 (C, D).
        kernel: up to `best_kernel()`, not NONE. AMX does little work with AVX-512, and what it isn't sure of.

    Returns:
        Code indices, int64 (N, C); None where memory doesn't suffice. The same for any kernel and number of threads.
    """
    x, codebooks, centres = x.float(), codebooks.float().contiguous(), centres.contiguous()
    if x.stride(2) != 1:
        x = x.contiguous()
    if kernel == Kernel.AMX and not _worth_tiles(len(x), *codebooks.shape[1:]):
        kernel = Kernel.AVX512
    indices = _call(x, codebooks, centres, kernel)
    if kernel == Kernel.AMX and indices is not None:
        open_rows = (indices < 0).any(1).nonzero()[:, 0]
        if len(open_rows):
            found = _call(x[open_rows], codebooks, centres, Kernel.AVX512)
            if found is None:
                return None
            indices[open_rows] = found
    return indices


def _worth_tiles(count: int, size: int, dim: int) -> bool:
    return dim >= _FEWEST_DIMENSIONS and size >= _FEWEST_CODEWORDS and count * size >= _FEWEST_PAIRS


def _call(x: torch.Tensor, codebooks: torch.Tensor, centres: torch.Tensor, kernel: Kernel) -> torch.Tensor | None:
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
        kernel,
    )
    return None if failed else indices


@functools.cache
def _library() -> ctypes.CDLL | None:
    # torch has been imported and has loaded its OpenMP by now: the kernels then work with the same threads.
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
            "codes are looked up without the compiled kernels: %s; install vqbn again to compile them for this machine "
            "and version",
            error,
        )
        return None
    return library
