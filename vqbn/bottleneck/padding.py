"""Which vectors of a padded batch are real, and which can be computed with."""

from collections.abc import Sequence

import torch

# The squares of larger values add up to more than float32 holds: one of them, though finite itself, would make a
# variance or a distance infinite.
LARGEST = 1e15


def valid_positions(
    x: torch.Tensor, lengths: torch.Tensor | Sequence[int] | None = None, mask: torch.Tensor | None = None
) -> torch.Tensor | None:
    """Say which positions hold data, given lengths or a mask.

    Args:
        x: (batch, time, dim), or (..., dim) with a mask or neither.
        lengths: integers (batch,), a tensor or a list: how many positions from the start of each sequence are real.
        mask: bool (...): True where a position is real.

    Returns:
        bool (...) on the device of `x`, or None if everything is real.

    Raises:
        TypeError: `lengths` aren't integers, or `mask` isn't a bool tensor.
        ValueError: a shape doesn't fit, a length isn't within 0..time, or both were given.
    """
    if lengths is not None and mask is not None:
        raise ValueError("give lengths or mask, not both")
    if mask is not None:
        if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool:
            found = mask.dtype if isinstance(mask, torch.Tensor) else type(mask).__name__
            raise TypeError(f"mask must be a bool tensor (True where a vector is real), not {found}")
        if mask.shape != x.shape[:-1]:
            raise ValueError(f"mask has the shape {tuple(mask.shape)}, the input needs {tuple(x.shape[:-1])}")
        return mask.to(x.device)
    if lengths is None:
        return None
    if x.dim() != 3:
        raise ValueError(f"lengths go with an input (batch, time, dim), not {tuple(x.shape)}; use a mask")
    lengths = _as_tensor(lengths)
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths must be integers, not {lengths.dtype}")
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"lengths has the shape {tuple(lengths.shape)}, a batch of {x.shape[0]} needs ({x.shape[0]},)")
    # On a GPU, or in a compiled graph, a look at the values would stop everything.
    readable = lengths.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.jit.is_tracing()
    if readable and not bool(((lengths >= 0) & (lengths <= x.shape[1])).all()):
        raise ValueError(f"lengths must be within 0..{x.shape[1]}, the padded length; got {lengths.tolist()}")
    return torch.arange(x.shape[1], device=x.device) < lengths.to(x.device).unsqueeze(1)


def _as_tensor(lengths: torch.Tensor | Sequence[int]) -> torch.Tensor:
    if isinstance(lengths, torch.Tensor):
        return lengths
    try:
        return torch.tensor(lengths, dtype=None if len(lengths) else torch.int64)
    except (TypeError, ValueError):
        raise TypeError(f"lengths must be integers, one per sequence, not {lengths!r}") from None


def usable(vectors: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Bool (N,): which of `vectors` (N, ...) are real, as `valid` (N,) says, and hold no value beyond `LARGEST`."""
    small = (vectors.abs() <= _largest(vectors)).flatten(1).all(1)
    return small if valid is None else small & valid


def seen_to_be_usable(vectors: torch.Tensor, valid: torch.Tensor | None, waiting: bool) -> bool:
    """Whether all vectors are `usable`, if that is cheap to see: their common norm is that of none that isn't.

    What keeps the others out can then be left out. It costs more than the arithmetic on a CPU; and on a GPU, where one
    look takes as long as launching a few kernels, it launches dozens.

    Args:
        vectors: (N, ...).
        valid: bool (N,), False where there is padding; or None.
        waiting: look on a GPU too, which waits for all that was launched.
    """
    if in_graph(vectors) or torch.compiler.is_exporting() or torch.jit.is_tracing():
        return False
    if vectors.device.type == "cpu":
        return (valid is None or bool(valid.all())) and vectors.detach().norm().item() <= LARGEST
    if not waiting:
        return False
    small = vectors.detach().norm() <= _largest(vectors)
    return bool(small if valid is None else small & valid.all())


def _largest(x: torch.Tensor) -> float:
    """`LARGEST`, or where half precision would make an infinity of that, the largest number there is."""
    return min(LARGEST, torch.finfo(x.dtype).max)


def in_graph(x: torch.Tensor) -> bool:
    """Whether a compiler, or a tensor without values, stands in for the computation."""
    return torch.compiler.is_compiling() or x.is_meta or type(x) not in (torch.Tensor, torch.nn.Parameter)
