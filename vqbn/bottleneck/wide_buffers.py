"""Buffers that are added up in small steps, which half precision would round away."""

from collections.abc import Callable

import torch
from torch import nn


class WideBuffers(nn.Module):
    """A module whose running sums stay in float32 or wider, whatever type the module is converted to.

    `half()`, `to(dtype)` and the like convert all else; so do state dicts of another type, assigned or copied.

    Attributes:
        wide_buffers: the names of these buffers.
    """

    wide_buffers: tuple[str, ...] = ()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        # All conversions of a module, and of one that holds it, come through here.
        before = {name: self._buffers.get(name) for name in self.wide_buffers}
        super()._apply(fn, recurse)
        for name, buffer in before.items():
            if buffer is not None:
                converted = self._buffers[name]
                wide = wide_type(converted.dtype)
                if converted.dtype != wide:
                    # From the old one: through half precision its digits would be lost.
                    self._buffers[name] = buffer.to(converted.device, wide)
        return self

    def _load_from_state_dict(self, *arguments, **options) -> None:
        super()._load_from_state_dict(*arguments, **options)
        # With assign=True the module takes the state's own tensors.
        for name in self.wide_buffers:
            buffer = self._buffers.get(name)
            if buffer is not None:
                self._buffers[name] = buffer.to(wide_type(buffer.dtype))


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """float32, or `dtype` if that is wider."""
    return torch.promote_types(dtype, torch.float32)
