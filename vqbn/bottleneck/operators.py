"""A bottleneck's bookkeeping as operators that a compiled graph can hold whole.

What a training step does beside arithmetic (the reservoir, counts, a clustering) can't be compiled. As operators with
a number for the bottleneck it stays outside of the graph, without breaking it.
"""

import itertools
import weakref
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from vqbn.bottleneck.quantizer import VQBottleneck

_numbers = itertools.count()
_bottlenecks: "weakref.WeakValueDictionary[int, VQBottleneck]" = weakref.WeakValueDictionary()


def register(bottleneck: "VQBottleneck") -> int:
    """Give a bottleneck a number for the operators below; it is valid in this process while the bottleneck exists."""
    number = next(_numbers)
    _bottlenecks[number] = bottleneck
    return number


# The effects are a tensor that is said to change, so that no compiler drops, doubles or reorders a call. Codebooks are
# passed, since a compiled graph works on its own copy until it ends.
@torch.library.custom_op("vqbn::learn", mutates_args=("effects",))
def learn(
    number: int, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None, effects: torch.Tensor
) -> torch.Tensor:
    """`VQBottleneck._learn`."""
    return _bottlenecks[number]._learn(latents, codebook, valid)


@learn.register_fake
def _(number, latents, codebook, valid, effects):
    return latents.new_empty(latents.shape[:2], dtype=torch.int64)


@torch.library.custom_op("vqbn::assign", mutates_args=())
def assign(number: int, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """`VQBottleneck._assign`."""
    return _bottlenecks[number]._assign(latents, codebook, valid)


@assign.register_fake
def _(number, latents, codebook, valid):
    return latents.new_empty(latents.shape[:2], dtype=torch.int64)


@torch.library.custom_op("vqbn::complete_update", mutates_args=("codebook", "counts", "sums", "effects"))
def complete_update(
    number: int,
    codebook: torch.Tensor,
    counts: torch.Tensor | None,
    sums: torch.Tensor | None,
    effects: torch.Tensor,
) -> None:
    """`VQBottleneck._complete_update`."""
    _bottlenecks[number]._complete_update(codebook, counts, sums)


@complete_update.register_fake
def _(number, codebook, counts, sums, effects):
    return None
