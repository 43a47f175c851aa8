"""The nearest codeword of every vector, without a matrix of all distances."""

import contextlib
import functools
import importlib
import importlib.util
import logging
import subprocess

import torch

from vqbn.bottleneck.compiled_lookup import Kernel, best_kernel, compiled_nearest_codes

logger = logging.getLogger(__name__)

# A tile of scores has at most so many rows, and so many entries while that leaves it a few dozen rows: it should stay
# in a core's cache between the product that writes it and the argmin that reads it.
_CPU_ROWS, _CPU_ENTRIES = 512, 1 << 20
# On a GPU a tile has to be large enough to hide the cost of launching a kernel.
_GPU_ROWS, _GPU_ENTRIES = 1 << 16, 1 << 23
_FEWEST_ROWS = 32


def nearest_codes(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """Find the codeword with the smallest Euclidean distance to every vector (the paper's equation 1).

    Distances are compared in float32, under autocast too and whatever precision is allowed for float32 products, after
    the mean of the codebook has been subtracted from both sides: what counts is then the spread of the features, not
    their offset. Of equally near codewords the one with the lowest index is taken. Scores are held for a tile of a few
    hundred vectors only. No gradient flows.

    A vector with a non-finite value gets some index in 0..K-1 and doesn't disturb the others; a codeword with a
    non-finite value is not chosen for a finite vector.

    Args:
        x: vectors, float of any width, (N, D); or (N, C, D) for C codebooks. N may be 0.
        codebook: codewords, float of any width, (K, D); or (C, K, D).

    Returns:
        Code indices, int64, (N,); or (N, C).

    Raises:
        TypeError: `x` or `codebook` isn't of a floating-point type.
        ValueError: the shapes don't fit, or there are no codewords.
    """
    if not (x.is_floating_point() and codebook.is_floating_point()):
        raise TypeError(f"vectors and codebook must be floating-point tensors, not {x.dtype} and {codebook.dtype}")
    if codebook.dim() not in (2, 3) or x.dim() != codebook.dim() or x.shape[-1] != codebook.shape[-1]:
        raise ValueError(
            f"vectors (N, D) go with a codebook (K, D), (N, C, D) with (C, K, D); "
            f"got {tuple(x.shape)} with {tuple(codebook.shape)}"
        )
    if codebook.dim() == 3 and x.shape[1] != codebook.shape[0]:
        raise ValueError(f"vectors are split for {x.shape[1]} codebooks, but there are {codebook.shape[0]}")
    if codebook.shape[-2] == 0:
        raise ValueError("the codebook has no codewords")
    x, codebook = x.detach(), codebook.detach()
    single = codebook.dim() == 2
    if single:
        x, codebook = x.unsqueeze(1), codebook.unsqueeze(0)
    # An exported graph must run where this package isn't installed; the older ONNX exporter traces.
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        indices = _nearest_plain(x, codebook)
    else:
        indices = torch.ops.vqbn.nearest_codes(x, codebook)
    return indices.squeeze(1) if single else indices


def _nearest_plain(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """`nearest_codes` for (N, C, D) and (C, K, D) in operators that every runtime knows; holds (C, N, K) scores."""
    centre, weights = _centred(codebooks, on_cpu=False)
    vectors = (x.float() - centre.squeeze(1)).transpose(0, 1)
    directions, half_norms = weights[..., :-1], weights[..., -1]
    return (half_norms.unsqueeze(1) + vectors @ directions.transpose(1, 2)).argmin(2).transpose(0, 1)


def _centred(codebooks: torch.Tensor, on_cpu: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Prepare codebooks for scoring.

    With the centre c, |x - w|² = |x - c|² - 2 (x - c)·(w - c) + |w - c|². The first term is the same for all
    codewords; half of the rest is the product of (x - c, 1) with (-(w - c), |w - c|²/2), so one matrix product
    makes the scores.

    Args:
        codebooks: (C, K, D).
        on_cpu: whether to look at the values before computing with them.

    Returns:
        The centres, float32 (C, 1, D), and the right-hand sides above, float32 (C, K, D + 1).
    """
    codebooks = codebooks.float()
    centre, finite = _centre(codebooks, on_cpu)
    if finite is not None:
        codebooks = torch.where(finite, codebooks, 0.0)
    directions = centre - codebooks
    half_norms = directions.norm(dim=2, keepdim=True).square() / 2
    if finite is not None:
        half_norms = torch.where(finite, half_norms, torch.inf)
    return centre, torch.cat([directions, half_norms], dim=2)


def _centre(codebooks: torch.Tensor, on_cpu: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The mean of the finite codewords, (C, 1, D); and which are finite, bool (C, K, 1), or None if all are."""
    # Twice as fast without the masks; but a graph can't branch, and on a GPU it isn't worth the wait for the answer.
    if on_cpu:
        centre = codebooks.mean(1, keepdim=True)
        if bool(centre.isfinite().all()):
            return centre, None
    finite = codebooks.sum(2, keepdim=True).isfinite()
    return torch.where(finite, codebooks, 0.0).sum(1, keepdim=True) / finite.sum(1, keepdim=True).clamp(min=1), finite


# Not `custom_op`, whose wrapper costs several times the call and imports the compiler when it is first called.
torch.library.define("vqbn::nearest_codes", "(Tensor x, Tensor codebooks) -> Tensor")


@torch.library.impl("vqbn::nearest_codes", "CompositeExplicitAutograd")
def _nearest(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """`nearest_codes` for (N, C, D) and (C, K, D), opaque to compilers, by the fastest means that there are here."""
    found = None
    if x.numel() and x.device.type == "cuda":
        found = _fused(x, codebooks)
    elif x.numel() and x.device.type == "cpu":
        found = _compiled(x, codebooks)
    return _nearest_tiled(x, codebooks) if found is None else found


def _nearest_tiled(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """`_nearest` by matrix products of tiles, on any device."""
    count, num_codebooks, dim = x.shape
    size = codebooks.shape[1]
    on_cpu = x.device.type == "cpu"
    most_rows, most_entries = (_CPU_ROWS, _CPU_ENTRIES) if on_cpu else (_GPU_ROWS, _GPU_ENTRIES)
    rows = min(count, most_rows, max(_FEWEST_ROWS, most_entries // size))
    # A row per codebook, so that a tile's answers are written where they belong.
    indices = torch.empty(num_codebooks, count, dtype=torch.int64, device=x.device)
    if count == 0:
        return indices.t()
    with torch.autocast(x.device.type, enabled=False), _exact_products(x.device.type):
        centres, weights = _centred(codebooks, on_cpu)
        tile = torch.empty(rows, dim + 1, dtype=torch.float32, device=x.device)
        tile[:, dim] = 1
        scores = torch.empty(rows, size, dtype=torch.float32, device=x.device)
        answers = indices.numpy() if on_cpu else None
        for c in range(num_codebooks):
            for start in range(0, count, rows):
                stop = min(start + rows, count)
                vectors, found = tile[: stop - start], scores[: stop - start]
                torch.sub(x[start:stop, c], centres[c], out=vectors[:, :dim])
                torch.mm(vectors, weights[c].t(), out=found)
                if on_cpu:
                    # numpy's argmin of a row is several times faster than torch's on the CPU.
                    found.numpy().argmin(1, out=answers[c, start:stop])
                else:
                    indices[c, start:stop] = found.argmin(1)
    return indices.t().contiguous()


def _compiled(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor | None:
    """`_nearest` in one compiled pass for CPUs; None where it wasn't compiled, or this processor can't run it."""
    kernel = best_kernel()
    if kernel == Kernel.NONE:
        return None
    centres, _ = _centre(codebooks.float(), on_cpu=True)
    return compiled_nearest_codes(x, codebooks, centres.squeeze(1), kernel)


def _fused(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor | None:
    """`_nearest` as one kernel for GPUs; None where Triton or a tile of it cannot be used."""
    dim = x.shape[2]
    if not _has_triton() or (x.device, dim) in _not_fused:
        return None
    from vqbn.bottleneck.fused_lookup import OutOfResources, fused_nearest_codes

    # Triton launches on the current GPU, whichever holds the vectors.
    with torch.autocast(x.device.type, enabled=False), torch.cuda.device_of(x):
        try:
            return fused_nearest_codes(x, codebooks)
        except OutOfResources:
            _not_fused.add((x.device, dim))
            return None
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            # Triton compiles with the machine's C compiler; many an image for containers has none.
            _not_fused.add((x.device, dim))
            logger.warning("codes are looked up without Triton's kernel, which can't be compiled: %s", error)
            return None


# Devices and dimensions for which the kernel does not fit, or can't be compiled.
_not_fused: set[tuple[torch.device, int]] = set()


@functools.cache
def _has_triton() -> bool:
    """Whether Triton is there and can be imported; nobody without a GPU waits for that."""
    try:
        importlib.import_module("vqbn.bottleneck.fused_lookup")
    except ImportError as error:
        if importlib.util.find_spec("triton") is not None:
            logger.warning("codes are looked up without Triton, which can't be imported: %s", error)
        return False
    return True


@torch.library.register_fake("vqbn::nearest_codes")
def _(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    return x.new_empty(x.shape[0], x.shape[1], dtype=torch.int64)


@contextlib.contextmanager
def _exact_products(device_type: str):
    """Multiply float32 in float32, although `torch.set_float32_matmul_precision` may allow bfloat16 or TF32."""
    backend = {"cpu": torch.backends.mkldnn.matmul, "cuda": torch.backends.cuda.matmul}.get(device_type)
    if backend is None:
        yield
        return
    allowed = backend.fp32_precision
    backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = allowed
