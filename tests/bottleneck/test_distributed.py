"""One codebook in several processes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("processes.py")
specification = importlib.util.spec_from_file_location("processes", SCRIPT)
processes = importlib.util.module_from_spec(specification)
specification.loader.exec_module(processes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the processes left what they saw; they run once for all tests."""
    folder = tmp_path_factory.mktemp("processes")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, SCRIPT, folder], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(params=[2, 4])
def seen(folder, request) -> list[dict]:
    """One dictionary per process, in rank order."""
    return [torch.load(folder / f"{request.param}-{rank}.pt") for rank in range(request.param)]


def together(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The vectors of all processes as one batch, in rank order."""
    batches = []
    for step in range(1, processes.STEPS + 1):
        parts = [processes.batch(step, rank, count) for rank in range(count)]
        x = torch.cat([x.flatten(0, 1) for x, _ in parts])
        mask = torch.cat([mask.flatten() for _, mask in parts])
        batches.append((x.unsqueeze(0), mask.unsqueeze(0)))
    return batches


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_codebooks_are_bitwise_equal_after_every_update(seen, update):
    first = seen[0][update]
    assert first["events"] == processes.SCHEDULE.updates() == [3, 7, 11]
    changes = [not torch.equal(a, b) for a, b in zip(first["codebooks"], first["codebooks"][1:], strict=False)]
    assert sum(changes) >= processes.STEPS - 4, "a codebook that never changes proves nothing"
    for other in seen[1:]:
        assert other[update]["events"] == first["events"]
        for step, (a, b) in enumerate(zip(first["codebooks"], other[update]["codebooks"], strict=True), 1):
            assert torch.equal(a, b), f"after update {step}"
        for name, value in first["state"].items():
            assert torch.equal(value, other[update]["state"][name]), name


def test_gradients_before_the_first_clustering_are_those_of_one_large_batch(seen):
    count = len(seen)
    model = processes.Model(normalization="batch")
    model.load_state_dict(seen[0]["gradient"]["initial"])
    x, mask = together(count)[0]
    output = model(x, mask)
    # Padding gives 1 in each process too. DistributedDataParallel takes the mean over processes.
    ((output.quantized + 1).square().sum() / count + output.loss).backward()
    for name, parameter in model.named_parameters():
        found = seen[0]["gradient"]["first_gradients"][name]
        assert torch.allclose(found, parameter.grad, rtol=1e-4, atol=1e-4), name


@pytest.mark.parametrize("kind", ["observed", "normalized"])
def test_counts_averages_statistics_and_the_reservoir_are_those_of_all_vectors(seen, kind):
    options = {"normalization": "batch", "num_codebooks": 2} if kind == "normalized" else {}
    alone = processes.observe(None, together(len(seen)), update="ema", **options)
    for process in seen:
        for step, (one, all_) in enumerate(zip(alone["states"], process[kind]["states"], strict=True), 1):
            assert one.keys() == all_.keys()
            for name, value in one.items():
                exact = name in ("counts", "alarm_counts", "reservoir.count", "reservoir.generator")
                same = torch.equal if exact else lambda a, b: torch.allclose(a, b, rtol=1e-4, atol=1e-5)
                assert same(all_[name], value), f"{name} after step {step}"
    for step in range(processes.STEPS):
        indices = torch.cat([process[kind]["indices"][step] for process in seen])
        assert torch.equal(indices, alone["indices"][step])


def test_no_more_is_sent_than_must_be(seen):
    count = len(seen)
    sizes = {"counts": 8, "sums": 8 * 4, "normalisation": 2 * 6 + 1, "processes": count}
    rows = [sum(int(mask.sum()) for _, mask in [batch]) for batch in together(count)]
    first, *_, last = processes.SCHEDULE.updates()
    stored = 0
    for step, elements in enumerate(seen[0]["observed"]["elements"], 1):
        clustering = step in processes.SCHEDULE
        stored = 0 if clustering else stored
        sent = 0 if step < first else sizes["counts"] + sizes["sums"]
        if step < last:
            # Slots that are still free take all rows; later at most as many as there are slots.
            sent += sizes["processes"] + 4 * min(rows[step - 1], 40)
            if stored + rows[step - 1] <= 40:
                assert elements >= 4 * rows[step - 1]
            stored += rows[step - 1]
        if clustering:
            sent += 8 * 4 + 4
        assert elements <= sent, f"step {step}"
    normalized = seen[0]["normalized"]["elements"]
    assert normalized[-1] == sizes["counts"] * 2 + sizes["sums"] + sizes["normalisation"]


def test_a_clustering_that_fails_on_one_fails_on_all(seen):
    assert seen[0]["failure"] == "ValueError: no memory left"
    for other in seen[1:]:
        assert other["failure"].startswith("RuntimeError: the clustering failed on the first process")
