"""Sums over processes, and parameters that are spread over them."""

import math

import torch
import torch.distributed as dist


def effective_group(group: dist.ProcessGroup | None) -> dist.ProcessGroup | None:
    """The processes that share a codebook, or None if this one is alone.

    Args:
        group: some processes, or None for all that `torch.distributed` knows, if it was initialised.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return None
    if group is None:
        group = dist.group.WORLD
    return group if dist.get_world_size(group) > 1 else None


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
        ctx.group = group
        total = x.contiguous().clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = gradient.contiguous().clone()
        dist.all_reduce(total, group=ctx.group)
        return total, None


def sum_over_processes(x: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """Add up `x` over the processes of `group`; gradients flow to all of them. Without a group, `x` itself."""
    return x if group is None else _SumOverProcesses.apply(x, group)


def row_counts(count: int, group: dist.ProcessGroup, device: torch.device) -> list[int]:
    """How many rows each process of `group` has, in rank order.

    Args:
        count: how many this one has.
        device: where the backend of the group wants its tensors.
    """
    counts = torch.zeros(dist.get_world_size(group), dtype=torch.int64, device=device)
    counts[dist.get_rank(group)] = count
    dist.all_reduce(counts, group=group)
    return counts.tolist()


def broadcast_from_first(x: torch.Tensor, group: dist.ProcessGroup) -> None:
    """Overwrite `x` with what the first process of `group` holds."""
    dist.broadcast(x, src=dist.get_global_rank(group, 0), group=group)


def sum_together(parts: list[torch.Tensor], group: dist.ProcessGroup) -> list[torch.Tensor]:
    """Add up tensors of one type over processes, in one message."""
    flat = torch.cat([part.reshape(-1) for part in parts])
    dist.all_reduce(flat, group=group)
    pieces = flat.split([part.numel() for part in parts])
    return [piece.view_as(part) for piece, part in zip(pieces, parts, strict=True)]


def whole(x: torch.Tensor, shape: tuple[int, ...], group: dist.ProcessGroup | None) -> torch.Tensor:
    """All of a parameter that FSDP may have spread over processes; each of them has to call this.

    Args:
        x: the parameter: as it is, as `fully_shard` leaves it between two forwards (a DTensor), or as
            `FullyShardedDataParallel` does with `use_orig_params=True` (a flat part, maybe empty).
        shape: of the whole.
        group: the processes that it is spread over.

    Raises:
        RuntimeError: the parts don't make up the whole.
    """
    if hasattr(x, "full_tensor"):
        return x.full_tensor()
    if x.shape == shape:
        return x
    start, total = _place(x, shape, group)
    flat = x.new_zeros(total)
    flat[start : start + len(x)] = x
    dist.all_reduce(flat, group=group)
    return flat.view(shape)


def overwrite(x: torch.Tensor, value: torch.Tensor, group: dist.ProcessGroup | None) -> None:
    """Write `value` to the parameter that `whole` gave, or to the part of it that is here; arguments as there."""
    if hasattr(x, "full_tensor"):
        # Not imported before somebody uses it: it takes long.
        from torch.distributed.tensor import distribute_tensor

        x.copy_(distribute_tensor(value, x.device_mesh, x.placements, src_data_rank=None))
    elif x.shape == value.shape:
        x.copy_(value)
    else:
        start, _ = _place(x, value.shape, group)
        x.copy_(value.flatten()[start : start + len(x)])


def _place(x: torch.Tensor, shape: tuple[int, ...], group: dist.ProcessGroup | None) -> tuple[int, int]:
    """Where the flat part `x` begins in the whole, and how many numbers that has."""
    counts = [x.numel()] if group is None else row_counts(x.numel(), group, x.device)
    total = math.prod(shape)
    if x.dim() != 1 or sum(counts) != total:
        raise RuntimeError(
            f"the codebook has {total} numbers, and the processes that train it hold {sum(counts)} of them: with "
            "FSDP's hybrid sharding use fully_shard, not FullyShardedDataParallel"
        )
    return (0 if group is None else sum(counts[: dist.get_rank(group)])), total
