"""Parameters that FSDP spreads over processes, and processes that have none."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck

SCRIPT = Path(__file__).with_name("sharded.py")
specification = importlib.util.spec_from_file_location("sharded", SCRIPT)
sharded = importlib.util.module_from_spec(specification)
specification.loader.exec_module(sharded)


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> list[dict]:
    """What each process saw; they run once for all tests."""
    folder = tmp_path_factory.mktemp("sharded")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, SCRIPT, folder], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(sharded.PROCESSES)]


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("way", [way for way in sharded.WAYS if way != "ddp"])
def test_it_trains_as_with_whole_parameters(seen, way, update):
    for process in seen:
        found, expected = process[way, update], process["ddp", update]
        assert found["events"] == expected["events"] == sharded.SCHEDULE.updates() == [3, 8]
        assert found["inertia"] == pytest.approx(expected["inertia"], rel=1e-4)
        assert found["norm"] == pytest.approx(expected["norm"], rel=1e-4)
        torch.testing.assert_close(found["evaluated"], expected["evaluated"], rtol=1e-3, atol=1e-4)
        for step, (mine, theirs) in enumerate(zip(found["indices"], expected["indices"], strict=True)):
            assert torch.equal(mine, theirs), step


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("way", sharded.WAYS)
@pytest.mark.parametrize("stop", sharded.STOPS)
def test_stopped_it_goes_on_bit_for_bit(seen, way, update, stop):
    for process in seen:
        whole, resumed = process[way, update], process[way, update]["resumed"][stop]
        assert resumed["events"] == whole["events"]
        assert resumed["norm"] == whole["norm"]
        for mine, theirs in zip(resumed["indices"], whole["indices"][stop:], strict=True):
            assert torch.equal(mine, theirs)


def test_without_follow_the_first_forward_says_what_to_do(seen):
    for process in seen:
        assert all("call follow(optimizer)" in refusal for refusal in process["without follow"])


def test_a_module_that_lost_its_parameters_is_refused_in_training(seen):
    for process in seen:
        assert "use fully_shard, or use_orig_params=True" in process["default"]
        assert "\n" not in process["default"]


def replica(module: nn.Module) -> nn.Module:
    """As `nn.DataParallel` makes them, on a CPU."""
    copy = module._replicate_for_data_parallel()
    for name, child in module.named_children():
        copy._modules[name] = replica(child)
    for name, parameter in module.named_parameters(recurse=False):
        setattr(copy, name, parameter.clone())
    return copy


@pytest.mark.parametrize("options", [{}, {"update": "ema", "projection": False, "normalization": "batch"}])
def test_a_replica_of_data_parallel_is_refused_in_training(options):
    vq = VQBottleneck(4, 4, 8, reestimation=ReestimationSchedule(2, 2, 1), **options)
    x = torch.randn(1, 20, 4)
    with pytest.raises(RuntimeError, match=r"instead of nn\.DataParallel use DistributedDataParallel"):
        replica(vq)(x)
    vq(x)
    vq(x)
    assert torch.equal(replica(vq.eval())(x).quantized, vq(x).quantized)
