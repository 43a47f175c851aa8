"""What `test_distributed.py` runs in several processes: `python processes.py FOLDER`.

Four processes are forked. All four, and then the first two alone, train bottlenecks and write what they saw to
FOLDER/<processes>-<rank>.pt.
"""

import multiprocessing
import os
import sys
from datetime import timedelta
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vqbn import ReestimationSchedule, VQBottleneck, parameter_groups

PROCESSES = 4
STEPS = 14
SCHEDULE = ReestimationSchedule(3, 12, 4)


class Model(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.encoder = nn.Linear(6, 6)
        self.bottleneck = VQBottleneck(6, 4, 8, reestimation=SCHEDULE, reservoir_size=40, **options)

    def forward(self, x, mask):
        return self.bottleneck(self.encoder(x), mask=mask)


def batch(step: int, rank: int, processes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors (sequences, 5, 6) and their mask: of uneven size, sometimes all padding, in the end none at all."""
    generator = torch.Generator().manual_seed(100 * step + rank)
    x = torch.randn(1 + (step + rank) % 3, 5, 6, generator=generator) + 2
    mask = torch.rand(x.shape[:2], generator=generator) < 0.8
    if step % 4 == rank:
        mask[:] = False
    if step == STEPS and rank == processes - 1:
        x, mask = x[:0], mask[:0]
    return x, mask


def train_with_ddp(group: dist.ProcessGroup, rank: int, processes: int, **options) -> dict:
    """Everything learns, from initial weights that differ, without `find_unused_parameters`."""
    torch.manual_seed(rank)
    model = Model(**options)
    vq = model.bottleneck
    vq.process_group = group
    wrapped = DistributedDataParallel(model, process_group=group)
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(parameter_groups(model, 1e-2, 1e-1))
    vq.follow(optimizer)
    codebooks, first_gradients = [], None
    for step in range(1, STEPS + 1):
        x, mask = batch(step, rank, processes)
        output = wrapped(x, mask)
        optimizer.zero_grad()
        (output.loss + (output.quantized + 1).square().sum()).backward()
        if first_gradients is None:
            first_gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()
        codebooks.append(vq.codebook.detach().clone())
    return {
        "initial": initial,
        "first_gradients": first_gradients,
        "codebooks": codebooks,
        "state": model.state_dict(),
        "events": [event.update for event in vq.reestimations],
    }


def observe(group: dist.ProcessGroup | None, batches: list, **options) -> dict:
    """The encoder stays, the bottleneck learns what it learns without gradients; messages are counted.

    With one process and the vectors of all of them, this is what several should come to.
    """
    torch.manual_seed(0)
    model = Model(**options)
    vq = model.bottleneck
    vq.process_group = group
    states, indices, elements = [], [], []
    all_reduce, broadcast = dist.all_reduce, dist.broadcast

    def counted_all_reduce(tensor, *args, **kwargs):
        elements[-1] += tensor.numel()
        return all_reduce(tensor, *args, **kwargs)

    def counted_broadcast(tensor, *args, **kwargs):
        elements[-1] += tensor.numel()
        return broadcast(tensor, *args, **kwargs)

    with (
        torch.no_grad(),
        mock.patch.object(dist, "all_reduce", counted_all_reduce),
        mock.patch.object(dist, "broadcast", counted_broadcast),
    ):
        for x, mask in batches:
            elements.append(0)
            indices.append(model(x, mask).indices[mask])
            state = {name: value.clone() for name, value in vq.state_dict().items() if name != "_extra_state"}
            _, tensors = vq.learner.state()
            states.append(state | tensors)
    accepted = [len(state["reservoir.vectors"]) for state in states]
    return {"states": states, "indices": indices, "elements": elements, "reservoir": accepted}


def fail_on_the_first(group: dist.ProcessGroup, rank: int) -> str:
    """A clustering that fails on one process must not leave the others waiting."""
    vq = VQBottleneck(6, 4, 8, reestimation=ReestimationSchedule(2, 2, 1))
    vq.process_group = group
    vq(torch.randn(1, 9, 6))
    error = ValueError("no memory left")
    try:
        with mock.patch("vqbn.bottleneck.reestimation.kmeans", side_effect=error):
            vq(torch.randn(1, 9, 6))
    except (ValueError, RuntimeError) as raised:
        return f"{type(raised).__name__}: {raised}"
    return "nothing"


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{folder}/rendezvous", rank=rank, world_size=PROCESSES, timeout=timedelta(seconds=60)
    )
    pair = dist.new_group([0, 1])
    for processes, group in ((PROCESSES, dist.group.WORLD), (2, pair)):
        if rank >= processes:
            continue
        batches = [batch(step, rank, processes) for step in range(1, STEPS + 1)]
        seen = {
            "gradient": train_with_ddp(group, rank, processes, normalization="batch"),
            "ema": train_with_ddp(group, rank, processes, update="ema", num_codebooks=2),
            "observed": observe(group, batches, update="ema"),
            "normalized": observe(group, batches, update="ema", normalization="batch", num_codebooks=2),
            "failure": fail_on_the_first(group, rank),
        }
        if rank == 0:
            # One process alone evaluates: nothing may wait for the others.
            vq = Model(normalization="batch").eval()
            vq(*batch(1, 0, processes))
        torch.save(seen, folder / f"{processes}-{rank}.pt")
        dist.barrier(group)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(rank, Path(sys.argv[1]))) for rank in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(any(worker.exitcode for worker in workers))
