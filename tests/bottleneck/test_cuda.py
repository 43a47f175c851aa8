"""On a GPU the bottleneck does what it does on the CPU. Skipped where there is none."""

import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck, kmeans
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.normalization import MaskedBatchNorm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

VARIANTS = {
    "gradient": {},
    "batch norm": {"normalization": "batch"},
    "ema": {"update": "ema", "normalization": "batch"},
    "clustered": {"normalization": "batch", "reestimation": ReestimationSchedule(3, 9, 3), "reservoir_size": 512},
    "all": {"update": "ema", "reestimation": ReestimationSchedule(3, 9, 3), "reservoir_size": 512, "num_codebooks": 2},
}


def trained(options, device, updates=8, padded=True, **autocast):
    """A bottleneck after some updates, its outputs for a fixed batch, and its input's last gradient."""
    torch.manual_seed(0)
    bottleneck = VQBottleneck(24, 16, 32, codebook_init=1.0, **options).to(device)
    optimizer = torch.optim.Adam(bottleneck.parameters(), 1e-2)
    bottleneck.follow(optimizer)
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        x = torch.randn(6, 40, 24, generator=generator).to(device).requires_grad_()
        lengths = torch.tensor([40, 40, 33, 20, 40, 7], device=device) if padded else None
        with torch.autocast(device, **autocast) if autocast else torch.enable_grad():
            output = bottleneck(x, lengths=lengths)
            loss = output.quantized.square().mean() + output.loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return bottleneck, bottleneck.eval()(torch.randn(200, 24, generator=generator).to(device)), x.grad


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gpu_comes_to_what_the_cpu_comes_to(variant, padded):
    expected, outputs, gradient = trained(VARIANTS[variant], "cpu", padded=padded)
    found, on_gpu, gradient_on_gpu = trained(VARIANTS[variant], "cuda", padded=padded)
    assert on_gpu.quantized.is_cuda
    assert found.quantizing == expected.quantizing
    torch.testing.assert_close(found.codebook.cpu(), expected.codebook, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradient_on_gpu.cpu(), gradient, rtol=1e-2, atol=1e-5)
    assert (on_gpu.indices.cpu() == outputs.indices).double().mean() > 0.98
    events = [[(e.update, e.vectors, e.used) for e in each.learner.reestimations] for each in (found, expected)]
    assert events[0] == events[1]


@pytest.mark.parametrize("offset", [0, 1e2, 1e4])
def test_statistics_of_a_whole_batch_are_as_exact_as_of_a_padded_one(offset):
    x = torch.randn(2048, 64, device="cuda") + offset
    expected = torch.nn.BatchNorm1d(64).double().cuda()
    wanted = expected(x.double())
    errors = {}
    for whole in (True, False):
        norm = MaskedBatchNorm(64).cuda()
        errors[whole] = (norm(x, whole=whole) - wanted).abs().max().item()
        torch.testing.assert_close(norm.running_mean.double(), expected.running_mean, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(norm.running_var.double(), expected.running_var, rtol=1e-3, atol=1e-5)
    assert errors[True] <= 2 * errors[False] + 1e-5


def test_state_goes_from_one_device_to_the_other():
    bottleneck, _, _ = trained(VARIANTS["all"], "cuda")
    options = VARIANTS["all"]
    back = VQBottleneck(24, 16, 32, codebook_init=1.0, **options)
    back.load_state_dict(bottleneck.state_dict())
    x = torch.randn(50, 24)
    ours, theirs = back.eval()(x), bottleneck(x.cuda())
    torch.testing.assert_close(ours.quantized, theirs.quantized.cpu())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_tf32_change_no_index(dtype):
    x, codebook = torch.randn(3000, 64, device="cuda") + 5, torch.randn(700, 64, device="cuda") + 5
    expected = nearest_codes(x, codebook)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cuda", dtype=dtype):
            assert torch.equal(nearest_codes(x, codebook), expected)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_autocast_trains():
    bottleneck, _, gradient = trained(VARIANTS["all"], "cuda", dtype=torch.bfloat16)
    assert bottleneck.codebook.dtype == torch.float32
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize(("count", "size", "dim"), [(5000, 3000, 64), (300, 40000, 128), (7, 5, 3), (2000, 500, 200)])
def test_the_lookup_is_as_near_as_float64(count, size, dim):
    x, codebook = torch.randn(count, dim, device="cuda") + 3, torch.randn(size, dim, device="cuda") + 3
    distances = torch.cdist(x.double(), codebook.double())
    found = distances.gather(1, nearest_codes(x, codebook)[:, None])[:, 0]
    torch.testing.assert_close(found, distances.amin(1), rtol=1e-5, atol=0)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_lookup_runs_where_its_vectors_are():
    x, codebook = torch.randn(3000, 64, device="cuda:1"), torch.randn(700, 64, device="cuda:1")
    with torch.cuda.device(0):
        found = nearest_codes(x, codebook)
        assert torch.cuda.current_device() == 0
    assert found.device == x.device
    assert torch.equal(found.cpu(), nearest_codes(x.cpu(), codebook.cpu()))


def test_kmeans_is_as_on_the_cpu():
    x = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0))
    ours, theirs = kmeans(x.cuda(), 50).cpu(), kmeans(x, 50)
    inertia = [torch.cdist(x, centroids).square().amin(1).mean() for centroids in (ours, theirs)]
    assert abs(inertia[0] / inertia[1] - 1) < 0.02


def test_it_compiles_whole():
    bottleneck = VQBottleneck(24, 16, 32, normalization="batch").cuda()
    x = torch.randn(8, 10, 24, device="cuda")
    expected = bottleneck.eval()(x)
    found = torch.compile(bottleneck, fullgraph=True)(x)
    assert torch.equal(found.indices, expected.indices)
    torch.testing.assert_close(found.quantized, expected.quantized)
