"""Which vectors of a padded batch are real."""

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
