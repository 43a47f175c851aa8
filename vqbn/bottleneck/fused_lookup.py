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


@triton.jit
def _fused_kernel(
    x,
    centres,
    directions,
    half_norms,
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
        inside = (n < count)[:, None] & (d < dim)[None, :]
        vectors = tl.load(rows + d[None, :] * x_stride_d, mask=inside, other=0.0).to(tl.float32)
        vectors -= tl.load(centres + book * dim + d, mask=d < dim, other=0.0)[None, :]
    lowest = tl.full((block_n, block_k), float("inf"), tl.float32)
    where = tl.zeros((block_n, block_k), tl.int32)
    first = part * per_part
    for start in range(first, tl.minimum(first + per_part, size), block_k):
        k = start + tl.arange(0, block_k)
        codewords = directions + (book * size + k).to(tl.int64)[None, :] * dim
        halves = tl.load(half_norms + book * size + k, mask=k < size, other=float("inf"))
        scores = tl.broadcast_to(halves[None, :], (block_n, block_k))
        if dim <= block_d:
            columns = tl.load(codewords + d[:, None], mask=(k < size)[None, :] & (d < dim)[:, None], other=0.0)
            scores = tl.dot(vectors, columns, scores, input_precision=precision)
        else:
            for begin in range(0, dim, block_d):
                e = begin + d
                inside = (n < count)[:, None] & (e < dim)[None, :]
                some = tl.load(rows + e[None, :] * x_stride_d, mask=inside, other=0.0).to(tl.float32)
                some -= tl.load(centres + book * dim + e, mask=e < dim, other=0.0)[None, :]
                columns = tl.load(codewords + e[:, None], mask=(k < size)[None, :] & (e < dim)[:, None], other=0.0)
                scores = tl.dot(some, columns, scores, input_precision=precision)
        # False where a score is not a number, so that such a vector keeps the first index.
        closer = scores < lowest
        lowest = tl.where(closer, scores, lowest)
        where = tl.where(closer, k[None, :], where)
    best = tl.min(lowest, axis=1)
    index = tl.min(tl.where(lowest == best[:, None], where, size), axis=1)
    place = (part * tl.num_programs(1) + book).to(tl.int64) * count + n
    tl.store(scores_out + place, best, mask=n < count)
    tl.store(indices_out + place, index, mask=n < count)


def fused_nearest_codes(
    x: torch.Tensor, centres: torch.Tensor, directions: torch.Tensor, half_norms: torch.Tensor
) -> torch.Tensor:
    """Index of the lowest half_norm + (vector - centre)·direction, the lowest index of equal ones.

    Products are as exact as float32's: on GPUs with TF32 as sums of three products of its operands' halves.

    Args:
        x: vectors, float of any width and strides, (N, C, D), N at least 1.
        centres: float32 (C, 1, D).
        directions: float32 (C, K, D), finite.
        half_norms: float32 (C, K); infinite for codewords that are not to be chosen.

    Returns:
        int64 (N, C); 0 for a vector with a non-finite value.

    Raises:
        OutOfResources: a tile doesn't fit this GPU's shared memory.
    """
    count, num_codebooks, dim = x.shape
    size = directions.shape[1]
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
        centres.contiguous(),
        directions.contiguous(),
        half_norms.contiguous(),
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
    # Parts follow one another: among equals the lowest index is that of the earliest part.
    best = torch.where(scores == scores.amin(0), indices, size).amin(0)
    return best.t().contiguous()


def _precision(device: torch.device) -> str:
    """How Triton multiplies float32 without losing digits."""
    with_tf32 = device.type == "cuda" and torch.version.cuda and torch.cuda.get_device_capability(device) >= (8, 0)
    return "tf32x3" if with_tf32 else "ieee"
