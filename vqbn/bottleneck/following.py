"""The tie between a bottleneck, the optimiser that trains it, and averaged copies."""

import weakref
from collections.abc import Callable, Iterable

import torch
from torch import nn


class Following:
    """Calls a bottleneck after every real step of an optimiser. Keeps neither of them, nor the copies, alive.

    Args:
        optimizer: the one that steps; wrappers with an attribute `optimizer` are seen through.
        copies: averaged copies of the bottleneck.
        after_step: what to call; it must not keep the bottleneck alive.
        after_end: what to call when the optimiser is gone; it must not keep the bottleneck alive either.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        copies: Iterable[nn.Module],
        after_step: Callable[[], None],
        after_end: Callable[[], None],
    ):
        while isinstance(getattr(optimizer, "optimizer", None), torch.optim.Optimizer):
            optimizer = optimizer.optimizer
        self._copies = [weakref.ref(copy) for copy in copies]
        self._optimizer = weakref.ref(optimizer, lambda _: after_end())
        self._handle = optimizer.register_step_post_hook(lambda taken, *_: None if _skipped(taken) else after_step())

    @property
    def copies(self) -> list[nn.Module]:
        """The averaged copies that still exist."""
        return [copy for copy in (reference() for reference in self._copies) if copy is not None]

    def forget_moments(self, parameter: nn.Parameter) -> None:
        """Put what the optimiser remembers of `parameter` back to the beginning."""
        optimizer = self._optimizer()
        if optimizer is None or parameter not in optimizer.state:
            return
        if isinstance(optimizer, torch.optim.Adagrad):
            # The only one that makes its state when it is made itself, and can't do without.
            optimizer.state[parameter]["step"].zero_()
            optimizer.state[parameter]["sum"].fill_(optimizer.defaults["initial_accumulator_value"])
        elif isinstance(optimizer, (torch.optim.Adam, torch.optim.RMSprop)):
            # They begin with zeros. In place, since torch.distributed.checkpoint loads no state with a part missing.
            for value in optimizer.state[parameter].values():
                value.zero_()
        else:
            del optimizer.state[parameter]

    def end(self) -> None:
        """Call nothing any more."""
        self._handle.remove()


def _skipped(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a fused optimiser, called with scaled gradients, found them infinite and changed nothing."""
    found_inf = getattr(optimizer, "found_inf", None)
    return found_inf is not None and bool(found_inf != 0)


def averaged_copies(averaged: nn.Module | Iterable[nn.Module] | None, kind: type) -> list[nn.Module]:
    """Find the bottleneck in each averaged model.

    Args:
        averaged: averaged copies of the bottleneck, or of a model that has no other bottleneck.
        kind: the bottleneck's class.

    Raises:
        TypeError: something isn't a module.
        ValueError: a model doesn't hold exactly one bottleneck.
    """
    if averaged is None:
        return []
    found = []
    for model in [averaged] if isinstance(averaged, nn.Module) else averaged:
        if not isinstance(model, nn.Module):
            raise TypeError(f"averaged must hold modules, not {type(model).__name__}")
        bottlenecks = [module for module in model.modules() if isinstance(module, kind)]
        if len(bottlenecks) != 1:
            raise ValueError(
                f"the averaged model holds {len(bottlenecks)} bottlenecks; give the copy of this one itself"
            )
        found += bottlenecks
    return found
