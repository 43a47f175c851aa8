"""Which vectors of a padded batch are real, and which can be computed with."""

import math

import torch


def valid_positions(
    x: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
) -> torch.Tensor | None:
    """Say which positions hold data, given lengths or a mask.

    Args:
        x: (batch, time, dim), or (..., dim) with a mask or neither.
        lengths: integers (batch,): how many positions from the start of each sequence are real.
        mask: bool (...): True where a position is real.

    Returns:
        bool (...) on the device of `x`, or None if everything is real.

    Raises:
        TypeError: `lengths` aren't integers or `mask` isn't bool.
        ValueError: a shape doesn't fit, a length isn't within 0..time, or both were given.
    """
    if lengths is not None and mask is not None:
        raise ValueError("give lengths or mask, not both")
    if mask is not None:
        if mask.dtype != torch.bool:
            raise TypeError(f"mask must be bool (True where a vector is real), not {mask.dtype}")
        if mask.shape != x.shape[:-1]:
            raise ValueError(f"mask has the shape {tuple(mask.shape)}, the input needs {tuple(x.shape[:-1])}")
        return mask.to(x.device)
    if lengths is None:
        return None
    if x.dim() != 3:
        raise ValueError(f"lengths go with an input (batch, time, dim), not {tuple(x.shape)}; use a mask")
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths must be integers, not {lengths.dtype}")
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"lengths has the shape {tuple(lengths.shape)}, a batch of {x.shape[0]} needs ({x.shape[0]},)")
    # On a GPU, or in a compiled graph, a look at the values would stop everything.
    readable = lengths.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.jit.is_tracing()
    if readable and not bool(((lengths >= 0) & (lengths <= x.shape[1])).all()):
        raise ValueError(f"lengths must be within 0..{x.shape[1]}, the padded length; got {lengths.tolist()}")
    return torch.arange(x.shape[1], device=x.device) < lengths.to(x.device).unsqueeze(1)


def usable(vectors: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Bool (N,): which of `vectors` (N, ...) are real, as `valid` (N,) says, and finite."""
    finite = vectors.isfinite().flatten(1).all(1)
    return finite if valid is None else finite & valid


def seen_to_be_usable(vectors: torch.Tensor, valid: torch.Tensor | None, waiting: bool) -> bool:
    """Whether all vectors are real and finite, if that is cheap to see: the sum of finite values is finite.

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
        return (valid is None or bool(valid.all())) and math.isfinite(vectors.detach().sum())
    if not waiting:
        return False
    total = vectors.detach().sum()
    return math.isfinite(total) if valid is None else bool(total.isfinite() & valid.all())


def in_graph(x: torch.Tensor) -> bool:
    """Whether a compiler, or a tensor without values, stands in for the computation."""
    return torch.compiler.is_compiling() or x.is_meta or type(x) not in (torch.Tensor, torch.nn.Parameter)
