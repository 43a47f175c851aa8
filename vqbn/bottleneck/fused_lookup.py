"""The lookup on a GPU as one kernel: scores stay in registers, and only indices are written. Needs Triton."""

import torch
import triton
import triton.language as tl
from triton.runtime.errors import OutOfResources

__all__ = ["OutOfResources", "fused_nearest_codes"]

# Vectors and codewords of a tile, columns multiplied at a time, warps and stages, up to so many dimensions: the fastest
# of those tried on an H200 that fit its shared memory, which more of each would not. They change no result.
_TILES = ((64, (128, 128, 64, 8, 3)), (128, (64, 64, 128, 4, 3)))
_TILE_OF_MORE = (64, 64, 64, 4, 2)
# Fewer programs than this leave a large GPU idle; the codewords of few vectors are divided among several.
_PROGRAMS = 264
# Values whose square float32 can't hold enter no centre.
_LARGEST = 1e18


@triton.jit
def _fused_kernel(
    x,
    centres,
    codebooks,
    scores_out,
    indices_out,
    count,
    size,
    per_part,
    x_stride_n,
    x_stride_c,
    x_stride_d,
    dim: tl.constexpr,
    block_n: tl.constexpr,
    block_k: tl.constexpr,
    block_d: tl.constexpr,
    precision: tl.constexpr,
):
    """One tile of vectors against one part of one codebook; the lowest score of each vector and where it is."""
    book = tl.program_id(1)
    part = tl.program_id(2)
    n = tl.program_id(0) * block_n + tl.arange(0, block_n)
    d = tl.arange(0, block_d)
    rows = x + n.to(tl.int64)[:, None] * x_stride_n + book * x_stride_c
    if dim <= block_d:
        centre = tl.load(centres + book * dim + d, mask=d < dim, other=0.0)
        inside = (n < count)[:, None] & (d < dim)[None, :]
        vectors = tl.load(rows + d[None, :] * x_stride_d, mask=inside, other=0.0).to(tl.float32) - centre[None, :]
    lowest = tl.full((block_n, block_k), float("inf"), tl.float32)
    where = tl.zeros((block_n, block_k), tl.int32)
    first = part * per_part
    for start in range(first, tl.minimum(first + per_part, size), block_k):
        k = start + tl.arange(0, block_k)
        codewords = codebooks + (book * size + k).to(tl.int64)[None, :] * dim
        # With the centre c, |x - w|² = |x - c|² + 2 (|w - c|²/2 - (x - c)·(w - c)); the first is the same for all.
        # The half norm of a codeword with a non-finite value is infinite or not a number, and so are its scores.
        if dim <= block_d:
            columns = tl.load(codewords + d[:, None], mask=(k < size)[None, :] & (d < dim)[:, None], other=0.0)
            directions = centre[:, None] - columns.to(tl.float32)
            halves = tl.where(k < size, tl.sum(directions * directions, axis=0) * 0.5, float("inf"))
            scores = tl.broadcast_to(halves[None, :], (block_n, block_k))
            scores = tl.dot(vectors, directions, scores, input_precision=precision)
        else:
            halves = tl.where(k < size, 0.0, float("inf"))
            scores = tl.zeros((block_n, block_k), tl.float32)
            for begin in range(0, dim, block_d):
                e = begin + d
                centre = tl.load(centres + book * dim + e, mask=e < dim, other=0.0)
                inside = (n < count)[:, None] & (e < dim)[None, :]
                some = tl.load(rows + e[None, :] * x_stride_d, mask=inside, other=0.0).to(tl.float32) - centre[None, :]
                columns = tl.load(codewords + e[:, None], mask=(k < size)[None, :] & (e < dim)[:, None], other=0.0)
                directions = centre[:, None] - columns.to(tl.float32)
                halves += tl.sum(directions * directions, axis=0) * 0.5
                scores = tl.dot(some, directions, scores, input_precision=precision)
            scores += halves[None, :]
        # False where a score is not a number, so that such a vector keeps the first index.
        closer = scores < lowest
        lowest = tl.where(closer, scores, lowest)
        where = tl.where(closer, k[None, :], where)
    best = tl.min(lowest, axis=1)
    index = tl.min(tl.where(lowest == best[:, None], where, size), axis=1)
    place = (part * tl.num_programs(1) + book).to(tl.int64) * count + n
    tl.store(scores_out + place, best, mask=n < count)
    tl.store(indices_out + place, index, mask=n < count)


def fused_nearest_codes(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """The nearest codeword of every vector, the first of equally near ones, by distances from the codewords' mean.

    Products are as exact as float32's: on GPUs with TF32 as sums of three products of its operands' halves.

    Args:
        x: vectors, float of any width and strides, (N, C, D), N at least 1.
        codebooks: codewords, float of any width, (C, K, D); one with a non-finite value, or whose square is none, is
            not chosen.

    Returns:
        int64 (N, C); 0 for a vector with a non-finite value.

    Raises:
        OutOfResources: a tile doesn't fit this GPU's shared memory.
    """
    count, num_codebooks, dim = x.shape
    size = codebooks.shape[1]
    codebooks = codebooks.contiguous()
    # Any centre gives the same indices, but for rounding: it need not be exactly the mean of those that can be chosen.
    centres = torch.where(codebooks.abs() < _LARGEST, codebooks, 0).mean(1, dtype=torch.float32)
    block_n, block_k, block_d, warps, stages = next((tile for most, tile in _TILES if dim <= most), _TILE_OF_MORE)
    tiles = triton.cdiv(count, block_n)
    blocks = triton.cdiv(size, block_k)
    parts = min(max(1, _PROGRAMS // (tiles * num_codebooks)), triton.cdiv(blocks, 4))
    per_part = triton.cdiv(blocks, parts) * block_k
    parts = triton.cdiv(size, per_part)
    scores = torch.empty(parts, num_codebooks, count, dtype=torch.float32, device=x.device)
    indices = torch.empty(parts, num_codebooks, count, dtype=torch.int64, device=x.device)
    _fused_kernel[(tiles, num_codebooks, parts)](
        x,
        centres,
        codebooks,
        scores,
        indices,
        count,
        size,
        per_part,
        *x.stride(),
        dim=dim,
        block_n=block_n,
        block_k=block_k,
        block_d=min(block_d, max(16, triton.next_power_of_2(dim))),
        precision=_precision(x.device),
        num_warps=warps,
        num_stages=stages,
    )
    if parts == 1:
        return indices[0].t().contiguous()
    # Parts follow one another, and argmin takes the first of equals: the earliest part, which has the lowest index.
    best = scores.argmin(0, keepdim=True)
    return indices.gather(0, best)[0].t().contiguous()


def _precision(device: torch.device) -> str:
    """How Triton multiplies float32 without losing digits."""
    with_tf32 = device.type == "cuda" and torch.version.cuda and torch.cuda.get_device_capability(device) >= (8, 0)
    return "tf32x3" if with_tf32 else "ieee"
