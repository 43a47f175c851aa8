"""Sums over processes."""

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
