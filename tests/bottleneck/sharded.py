"""What `test_sharded.py` runs in two processes: `python sharded.py FOLDER`.

Each trains bottlenecks whose parameters are spread over both, and writes what it saw to FOLDER/<rank>.pt.
"""

import multiprocessing
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.nn.parallel import DistributedDataParallel

from vqbn import ReestimationSchedule, VQBottleneck, parameter_groups

PROCESSES = 2
STEPS = 12
SCHEDULE = ReestimationSchedule(3, 9, 5)
# Between the clusterings, and right after one.
STOPS = (5, 7)
FULL = StateDictOptions(full_state_dict=True)


class Model(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.encoder = nn.Linear(6, 6)
        self.bottleneck = VQBottleneck(6, 4, 9, reestimation=SCHEDULE, reservoir_size=40, **options)

    def forward(self, x):
        return self.bottleneck(self.encoder(x))


def shard(model: nn.Module) -> nn.Module:
    return fully_shard(model, mesh=init_device_mesh("cpu", (PROCESSES,)))


def shard_bottleneck_apart(model: nn.Module) -> nn.Module:
    mesh = init_device_mesh("cpu", (PROCESSES,))
    fully_shard(model.bottleneck, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def wrap(model: nn.Module) -> nn.Module:
    return FullyShardedDataParallel(model, use_orig_params=True, device_id=torch.device("cpu"))


def wrap_by_default(model: nn.Module) -> nn.Module:
    return FullyShardedDataParallel(model, device_id=torch.device("cpu"))


WAYS = {"ddp": DistributedDataParallel, "shard": shard, "shard apart": shard_bottleneck_apart, "wrap": wrap}


class Training:
    def __init__(self, way, seed: int, follow: bool = True, **options):
        torch.manual_seed(seed)
        model = Model(**options)
        self.vq = model.bottleneck
        self.model = way(model)
        self.optimizer = torch.optim.Adam(parameter_groups(self.model, 1e-2, 1e-1))
        # As many people save from it; and torch.distributed.checkpoint is not sure of its optimiser.
        self.full = way is wrap
        if follow:
            self.vq.follow(self.optimizer)

    def run(self, steps: range) -> list[torch.Tensor]:
        indices = []
        for step in steps:
            x = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(10 * step + dist.get_rank()))
            output = self.model(x)
            self.optimizer.zero_grad()
            (output.loss + (output.quantized + 1).square().mean()).backward()
            self.optimizer.step()
            indices.append(output.indices)
        return indices

    def save(self, folder: Path) -> None:
        if self.full:
            folder.mkdir(parents=True, exist_ok=True)
            torch.save(get_state_dict(self.model, self.optimizer, options=FULL), folder / f"{dist.get_rank()}.pt")
            return
        model, optimizer = get_state_dict(self.model, self.optimizer)
        dcp.save({"model": model, "optimizer": optimizer}, checkpoint_id=folder)

    def load(self, folder: Path) -> None:
        if self.full:
            model, optimizer = torch.load(folder / f"{dist.get_rank()}.pt")
        else:
            model, optimizer = get_state_dict(self.model, self.optimizer)
            dcp.load({"model": model, "optimizer": optimizer}, checkpoint_id=folder)
        options = FULL if self.full else None
        set_state_dict(self.model, self.optimizer, model_state_dict=model, optim_state_dict=optimizer, options=options)


def train(way, folder: Path, **options) -> dict:
    """Without a stop, and stopped and gone on in other objects."""
    whole = Training(way, 0, **options)
    indices = []
    for step in range(STEPS):
        if step in STOPS:
            whole.save(folder / str(step))
        indices += whole.run(range(step, step + 1))
    seen = {
        "indices": indices,
        "events": [event.update for event in whole.vq.reestimations],
        "inertia": [event.inertia_after for event in whole.vq.reestimations],
        "norm": whole.vq.codeword_norm,
        "evaluated": whole.model.eval()(torch.ones(2, 5, 6)).quantized.detach(),
        "resumed": {},
    }
    for stop in STOPS:
        restored = Training(way, 1, **options)
        restored.load(folder / str(stop))
        later = restored.run(range(stop, STEPS))
        seen["resumed"][stop] = {
            "indices": later,
            "events": [event.update for event in restored.vq.reestimations],
            "norm": restored.vq.codeword_norm,
        }
    return seen


def refusal(way, follow: bool) -> str:
    try:
        Training(way, 0, follow).run(range(2))
    except RuntimeError as error:
        return str(error)
    return "nothing"


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    # FSDP of its own future.
    warnings.simplefilter("ignore", FutureWarning)
    dist.init_process_group(
        "gloo", f"file://{folder}/rendezvous", rank=rank, world_size=PROCESSES, timeout=timedelta(seconds=60)
    )
    seen = {
        (name, update): train(way, folder / f"{name} {update}", update=update)
        for name, way in WAYS.items()
        for update in ("gradient", "ema")
    }
    seen["default"] = refusal(wrap_by_default, follow=True)
    seen["without follow"] = [refusal(way, follow=False) for way in (shard, wrap)]
    torch.save(seen, folder / f"{rank}.pt")
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
