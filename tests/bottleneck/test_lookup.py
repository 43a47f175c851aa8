"""The lookup picks the nearest codeword, whatever the precision, the size and the way it is run."""

from pathlib import Path

import pytest
import torch

from vqbn.bottleneck import lookup
from vqbn.bottleneck.compiled_lookup import Kernel, best_kernel
from vqbn.bottleneck.lookup import nearest_codes


@pytest.fixture(params=list(Kernel), ids=str, autouse=True)
def kernel(request, monkeypatch):
    """Every way to look up on a CPU: with each of the compiled kernels, and without."""
    if request.param > best_kernel():
        pytest.skip("the kernel isn't compiled, or can't run on this processor")
    monkeypatch.setattr(lookup, "best_kernel", lambda: request.param)


def assert_as_near_as_float64(x: torch.Tensor, codebook: torch.Tensor, indices: torch.Tensor) -> None:
    """Where float64 would choose another codeword, the two distances differ by under 1e-5 of the centred norms."""
    assert indices.dtype == torch.int64
    assert indices.shape == x.shape[:1]
    x, codebook = x.double(), codebook.double()
    centre = codebook.mean(0)
    for rows, found in zip(x.split(256), indices.split(256), strict=True):
        distances = torch.cdist(rows - centre, codebook - centre, compute_mode="donot_use_mm_for_euclid_dist").square()
        best, index = distances.min(1)
        excess = distances.gather(1, found[:, None])[:, 0] - best
        scale = (rows - centre).square().sum(1) + torch.minimum(
            (codebook[index] - centre).square().sum(1), (codebook[found] - centre).square().sum(1)
        )
        assert (excess <= 1e-5 * scale).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mean", [0.0, 5.0])
@pytest.mark.parametrize(("count", "size", "dim"), [(1500, 512, 64), (600, 4096, 128), (700, 33, 3), (1, 7, 5)])
def test_agrees_with_float64(seed, mean, count, size, dim):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, dim, generator=generator) + mean
    codebook = torch.randn(size, dim, generator=generator) + mean
    assert_as_near_as_float64(x, codebook, nearest_codes(x, codebook))


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 65536])
def test_takes_any_number_of_codewords(size):
    generator = torch.Generator().manual_seed(size)
    x, codebook = torch.randn(70, 8, generator=generator), torch.randn(size, 8, generator=generator)
    assert_as_near_as_float64(x, codebook, nearest_codes(x, codebook))


@pytest.mark.parametrize("count", [0, 1])
def test_takes_none_and_one(count):
    codebook = torch.randn(10, 4)
    assert torch.equal(nearest_codes(codebook[3 : 3 + count], codebook), torch.arange(3, 3 + count))


def test_finds_every_codeword_across_tiles():
    codebook = torch.randn(3000, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(nearest_codes(codebook, codebook), torch.arange(3000))


@pytest.mark.parametrize("autocast", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(autocast):
    x, codebook = torch.randn(500, 64) + 5, torch.randn(300, 64) + 5
    with torch.autocast("cpu", dtype=autocast):
        indices = nearest_codes(x, codebook)
    assert torch.equal(indices, nearest_codes(x, codebook))


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_the_precision_allowed_for_products_changes_nothing(precision):
    x, codebook = torch.randn(500, 64), torch.randn(300, 64)
    expected = nearest_codes(x, codebook)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        allowed = torch.backends.mkldnn.matmul.fp32_precision
        assert torch.equal(nearest_codes(x, codebook), expected)
        assert torch.backends.mkldnn.matmul.fp32_precision == allowed
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_other_widths_are_looked_up_in_float32(dtype, mean):
    x, codebook = (torch.randn(400, 32) + mean).to(dtype), (torch.randn(300, 32) + mean).to(dtype)
    assert_as_near_as_float64(x, codebook, nearest_codes(x, codebook))
    assert_as_near_as_float64(x, codebook.float(), nearest_codes(x, codebook.float()))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_vectors_disturb_no_others(bad):
    x, codebook = torch.randn(1200, 16), torch.randn(100, 16)
    broken = x.clone()
    broken[5] = bad
    broken[600, 3] = bad
    indices, expected = nearest_codes(broken, codebook), nearest_codes(x, codebook)
    good = torch.ones(1200, dtype=torch.bool)
    good[[5, 600]] = False
    assert torch.equal(indices[good], expected[good])
    assert ((indices >= 0) & (indices < 100)).all()


def test_non_finite_codewords_are_not_chosen():
    x, codebook = torch.randn(300, 16), torch.randn(100, 16)
    broken = codebook.clone()
    broken[7, 2], broken[50, 0], broken[99] = torch.nan, torch.inf, -torch.inf
    left = torch.tensor([i for i in range(100) if i not in (7, 50, 99)])
    assert torch.equal(nearest_codes(x, broken), left[nearest_codes(x, codebook[left])])


@pytest.mark.parametrize("size", [2, 37, 512, 1000, 2049])
def test_ties_go_to_the_lowest_index(size):
    half = torch.randn(size, 16, generator=torch.Generator().manual_seed(0))
    codebook = torch.cat([half, half])
    x = torch.randn(600, 16)
    assert (nearest_codes(x, codebook) < size).all()
    assert (lookup._nearest_plain(x[:, None], codebook[None]) < size).all()


def test_several_codebooks_are_looked_up_each_on_its_own():
    x, codebooks = torch.randn(700, 5, 16), torch.randn(5, 60, 16)
    indices = nearest_codes(x, codebooks)
    assert indices.shape == (700, 5)
    for c in range(5):
        assert torch.equal(indices[:, c], nearest_codes(x[:, c].contiguous(), codebooks[c]))


def test_strided_vectors():
    x, codebook = torch.randn(64, 300).t(), torch.randn(64, 50).t()
    assert torch.equal(nearest_codes(x, codebook), nearest_codes(x.contiguous(), codebook.contiguous()))


def test_inputs_are_unchanged_and_no_gradient_flows():
    x, codebook = torch.randn(40, 8, requires_grad=True), torch.randn(20, 8, requires_grad=True)
    before = x.detach().clone(), codebook.detach().clone()
    assert not nearest_codes(x, codebook).requires_grad
    assert torch.equal(x, before[0])
    assert torch.equal(codebook, before[1])


@pytest.mark.parametrize(
    ("x", "codebook", "error"),
    [
        (torch.zeros(3, 4), torch.zeros(5, 3), ValueError),
        (torch.zeros(3, 4), torch.zeros(0, 4), ValueError),
        (torch.zeros(3, 2, 4), torch.zeros(5, 4), ValueError),
        (torch.zeros(3, 2, 4), torch.zeros(3, 5, 4), ValueError),
        (torch.zeros(4), torch.zeros(5, 4), ValueError),
        (torch.zeros(3, 4, dtype=torch.int64), torch.zeros(5, 4), TypeError),
    ],
)
def test_what_does_not_fit_is_refused(x, codebook, error):
    with pytest.raises(error):
        nearest_codes(x, codebook)


def test_compiles_to_one_graph():
    def quantise(x, codebook):
        return torch.nn.functional.embedding(nearest_codes(2 * x, codebook), codebook)

    x, codebook = torch.randn(300, 16), torch.randn(40, 16)
    compiled = torch.compile(quantise, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, codebook), quantise(x, codebook))


def test_the_operator_is_well_formed():
    torch.library.opcheck(torch.ops.vqbn.nearest_codes, (torch.randn(30, 2, 8), torch.randn(2, 9, 8)))


def test_exports_to_plain_operators():
    class Quantiser(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.codebook = torch.nn.Parameter(torch.randn(40, 16))

        def forward(self, x):
            return nearest_codes(x, self.codebook)

    quantiser, x = Quantiser(), torch.randn(300, 16)
    program = torch.export.export(quantiser, (x,))
    assert not any("vqbn" in str(node.target) for node in program.graph.nodes)
    assert torch.equal(program.module()(x), quantiser(x))


def test_never_holds_all_scores():
    def resident(kind: str) -> float:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind))
        return int(line.split()[1]) / 1024

    x, codebook = torch.randn(20480, 8), torch.randn(8192, 8)
    nearest_codes(x[:10], codebook)
    Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    before = resident("VmRSS")
    nearest_codes(x, codebook)
    assert resident("VmHWM") - before < 60


@pytest.mark.parametrize("seed", range(3))
def test_the_plain_path_agrees(seed):
    generator = torch.Generator().manual_seed(seed)
    x, codebook = torch.randn(900, 24, generator=generator), torch.randn(333, 24, generator=generator)
    plain = lookup._nearest_plain(x[:, None], codebook[None])[:, 0]
    assert_as_near_as_float64(x, codebook, plain)
    assert (plain == nearest_codes(x, codebook)).float().mean() > 0.99
