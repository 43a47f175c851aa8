"""A codebook's bookkeeping as operators that a compiled graph can hold.

What a training step does beside arithmetic (the reservoir, counts, a clustering) can't be compiled. As operators,
with a number in place of the object, it is called from the graph without breaking it.
"""

import itertools
import weakref
from typing import Protocol

import torch


class Learner(Protocol):
    """What the operators call: `CodebookLearner`, whose methods say what these do."""

    def learn(
        self, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None, sampling: bool
    ) -> tuple[torch.Tensor, bool]: ...

    def assign(
        self, latents: torch.Tensor, codebook: torch.Tensor, valid: torch.Tensor | None, has_codewords: torch.Tensor
    ) -> tuple[torch.Tensor, bool]: ...

    def complete_update(
        self,
        codebook: torch.Tensor,
        has_codewords: torch.Tensor,
        ema_counts: torch.Tensor | None,
        ema_sums: torch.Tensor | None,
        free: bool,
    ) -> bool: ...


_numbers = itertools.count()
_learners: weakref.WeakValueDictionary[int, Learner] = weakref.WeakValueDictionary()


def register(learner: Learner) -> int:
    """Give a learner a number for the operators below; it is valid in this process while the learner exists."""
    number = next(_numbers)
    _learners[number] = learner
    return number


# The effects are a tensor that is said to change, so that no compiler drops, doubles or reorders a call. Codebooks are
# passed, since a compiled graph works on its own copy until it ends.
@torch.library.custom_op("vqbn::learn", mutates_args=("effects",))
def learn(
    number: int,
    latents: torch.Tensor,
    codebook: torch.Tensor,
    valid: torch.Tensor | None,
    sampling: bool,
    effects: torch.Tensor,
) -> torch.Tensor:
    """`CodebookLearner.learn`."""
    return _learners[number].learn(latents, codebook, valid, sampling)[0]


@learn.register_fake
def _(number, latents, codebook, valid, sampling, effects):
    return latents.new_empty(latents.shape[:2], dtype=torch.int64)


@torch.library.custom_op("vqbn::assign", mutates_args=())
def assign(
    number: int,
    latents: torch.Tensor,
    codebook: torch.Tensor,
    valid: torch.Tensor | None,
    has_codewords: torch.Tensor,
) -> torch.Tensor:
    """`CodebookLearner.assign`."""
    return _learners[number].assign(latents, codebook, valid, has_codewords)[0]


@assign.register_fake
def _(number, latents, codebook, valid, has_codewords):
    return latents.new_empty(latents.shape[:2], dtype=torch.int64)


@torch.library.custom_op(
    "vqbn::complete_update", mutates_args=("codebook", "has_codewords", "ema_counts", "ema_sums", "effects")
)
def complete_update(
    number: int,
    codebook: torch.Tensor,
    has_codewords: torch.Tensor,
    ema_counts: torch.Tensor | None,
    ema_sums: torch.Tensor | None,
    free: bool,
    effects: torch.Tensor,
) -> None:
    """`CodebookLearner.complete_update`."""
    _learners[number].complete_update(codebook, has_codewords, ema_counts, ema_sums, free)


@complete_update.register_fake
def _(number, codebook, has_codewords, ema_counts, ema_sums, free, effects):
    return None
