"""The fused kernel chooses what the tiled lookup chooses. `test_fused_lookup.py` runs this in Triton's interpreter."""

import pytest
import torch

from vqbn.bottleneck import fused_lookup, lookup
from vqbn.bottleneck.fused_lookup import fused_nearest_codes


def same(x, codebooks):
    """Whether both choose the same; where not, whether float64 finds the two equally near."""
    found, expected = fused_nearest_codes(x, codebooks), torch.ops.vqbn.nearest_codes(x, codebooks)
    assert found.shape == expected.shape
    assert found.dtype == torch.int64
    for c, codewords in enumerate(codebooks.double()):
        ours, theirs = ((x[:, c].double() - codewords[given[:, c]]).norm(dim=1) for given in (found, expected))
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("count", "books", "size", "dim"),
    [(300, 1, 700, 64), (130, 2, 65, 20), (1, 1, 1, 1), (129, 1, 64, 128), (40, 1, 100, 200)],
)
def test_as_the_tiled_lookup(count, books, size, dim):
    generator = torch.Generator().manual_seed(dim)
    x = torch.randn(count, books, dim, generator=generator) + 5
    same(x, torch.randn(books, size, dim, generator=generator) + 5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_and_strides(dtype):
    x = torch.randn(2, 16, 70).to(dtype).permute(2, 0, 1)[::2]
    same(x, torch.randn(2, 33, 16))


def test_of_equal_codewords_the_first_across_tiles_and_parts():
    # Small whole numbers: no product is rounded, so that equal codewords have equal scores wherever they stand.
    codebook = torch.randint(-3, 4, (1, 700, 8)).float()
    codebook[0, [3, 100, 699]] = 5.0
    assert fused_nearest_codes(torch.full((2, 1, 8), 5.0), codebook).tolist() == [[3], [3]]


def test_what_is_not_finite_disturbs_nothing_else():
    x, codebook = torch.randn(5, 1, 8), torch.randn(1, 90, 8)
    expected = fused_nearest_codes(x, codebook)
    x[1, 0, 3], x[2, 0, 0] = torch.nan, torch.inf
    found = fused_nearest_codes(x, codebook)
    assert torch.equal(found[[0, 3, 4]], expected[[0, 3, 4]])
    assert bool(((found >= 0) & (found < 90)).all())
    codebook[0, int(expected[0, 0])] = torch.nan
    codebook[0, 7] = torch.inf
    assert not set(fused_nearest_codes(x[[0, 3, 4]], codebook).flatten().tolist()) & {int(expected[0, 0]), 7}


def test_a_gpu_with_too_little_memory_takes_the_tiled_lookup(monkeypatch):
    def refuse(*_):
        raise fused_lookup.OutOfResources(262144, 101376, "shared memory")

    x, codebook = torch.randn(5, 1, 8), torch.randn(1, 90, 8)
    assert torch.equal(lookup._fused(x, codebook), fused_nearest_codes(x, codebook))
    monkeypatch.setattr(fused_lookup, "fused_nearest_codes", refuse)
    monkeypatch.setattr(lookup, "_not_fused", set())
    assert lookup._fused(x, codebook) is None
    monkeypatch.undo()
    assert lookup._fused(x, codebook) is not None


def test_a_machine_without_a_compiler_takes_the_tiled_lookup_and_says_so_once(monkeypatch, caplog):
    def refuse(*_):
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(fused_lookup, "fused_nearest_codes", refuse)
    monkeypatch.setattr(lookup, "_not_fused", set())
    x, codebook = torch.randn(5, 1, 8), torch.randn(1, 90, 8)
    for _ in range(2):
        assert lookup._fused(x, codebook) is None
    assert [record.message for record in caplog.records if "Failed to find C compiler" in record.message] == [
        "codes are looked up without Triton's kernel, which can't be compiled: Failed to find C compiler"
    ]


def test_errors_of_the_gpu_are_not_hidden(monkeypatch):
    def refuse(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fused_lookup, "fused_nearest_codes", refuse)
    with pytest.raises(torch.OutOfMemoryError):
        lookup._fused(torch.randn(5, 1, 8), torch.randn(1, 90, 8))
