"""The compiled lookup is there where it can be, and where it can't be the tiled one takes its place."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from vqbn.bottleneck import compiled_lookup, lookup
from vqbn.bottleneck.compiled_lookup import Kernel, best_kernel


def flags() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())


compiled = pytest.mark.skipif(best_kernel() == Kernel.NONE, reason="no kernel is compiled, or can run here")
tiles = pytest.mark.skipif(best_kernel() < Kernel.AMX, reason="this processor or system has no tiles")
kernels = [kernel for kernel in Kernel if Kernel.NONE < kernel <= best_kernel()]


@pytest.mark.skipif(
    not {"avx2", "fma"} <= flags() or shutil.which("c++") is None, reason="no processor or compiler for it"
)
def test_it_is_compiled_where_it_can_be():
    least = Kernel.AVX512 if "avx512f" in flags() else Kernel.AVX2
    assert best_kernel() >= least, "install vqbn again: pip install -e ."


def by_definition(x: torch.Tensor, codebooks: torch.Tensor) -> torch.Tensor:
    """The nearest codewords in float64, (N, C)."""
    vectors, codebooks = x.double().transpose(0, 1), codebooks.double()
    return torch.cdist(vectors, codebooks, compute_mode="donot_use_mm_for_euclid_dist").argmin(2).t()


@compiled
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("codebooks", [1, 3])
@pytest.mark.parametrize(
    ("count", "size", "dim"),
    [(1, 1, 1), (31, 11, 5), (33, 13, 64), (500, 301, 17), (1030, 129, 32), (500, 301, 65), (129, 2047, 40)],
)
def test_kernels_and_threads_change_nothing(threads, codebooks, count, size, dim):
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, codebooks, dim, generator=generator)
    codebook = torch.randn(codebooks, size, dim, generator=generator)
    expected = by_definition(x, codebook)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for kernel in kernels:
            found = compiled_lookup.compiled_nearest_codes(x, codebook, codebook.mean(1), kernel)
            assert torch.equal(found, expected), kernel
    finally:
        torch.set_num_threads(before)


@compiled
def test_every_codebook_has_its_own_vectors_whatever_the_strides():
    x, codebooks = torch.randn(48, 3, 500).transpose(0, 2), torch.randn(3, 300, 48)
    found = lookup.nearest_codes(x, codebooks)
    assert torch.equal(found, by_definition(x, codebooks))
    assert torch.equal(found[::2, 1], lookup.nearest_codes(x[::2, 1], codebooks[1]))


def by_tiles(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """What the tiles find by themselves, (N,); -1 where they aren't sure."""
    return compiled_lookup._call(x[:, None], codebook[None], codebook.mean(0)[None], Kernel.AMX)[:, 0]


@tiles
def test_tiles_are_sure_of_most():
    generator = torch.Generator().manual_seed(0)
    x, codebook = torch.randn(4096, 64, generator=generator), torch.randn(1024, 64, generator=generator)
    assert (by_tiles(x, codebook) < 0).float().mean() < 0.02


@tiles
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-10, 1.0, 1e10, 1e18, 1e30])
@pytest.mark.parametrize("apart", [1.0, 1e-2, 1e-3, 1e-4, 1e-5])
def test_where_tiles_are_sure_float32_agrees(scale, apart):
    """Codewords in pairs that are hard to tell apart, numbers at the end of the range, and one far away."""
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(400, 50, generator=generator)
    codebook = torch.cat([centres, centres + apart * torch.randn(400, 50, generator=generator)])
    x = codebook[torch.randint(800, (1000,), generator=generator)] + 0.3 * torch.randn(1000, 50, generator=generator)
    x, codebook = scale * x, scale * codebook
    for far in (False, True):
        codebook[17] *= 50 if far else 1
        found = by_tiles(x, codebook)
        expected = compiled_lookup._call(x[:, None], codebook[None], codebook.mean(0)[None], Kernel.AVX512)[:, 0]
        assert ((found == expected) | (found == -1)).all()
        assert torch.equal(
            compiled_lookup.compiled_nearest_codes(x[:, None], codebook[None], codebook.mean(0)[None], Kernel.AMX)[
                :, 0
            ],
            expected,
        )


@tiles
def test_tiles_leave_equal_codewords_and_what_is_not_finite_open():
    x, codebook = torch.randn(1000, 64), torch.randn(200, 64)
    x[4, 3], x[5] = torch.nan, torch.inf
    codebook[150] = codebook[20]
    x[6] = codebook[20]
    codebook[30], codebook[31, 7] = torch.nan, -torch.inf
    kept = codebook.isfinite().all(1)
    found = compiled_lookup._call(x[:, None], codebook[None], codebook[kept].mean(0)[None], Kernel.AMX)[:, 0]
    assert found[[4, 5, 6]].tolist() == [-1, -1, -1]
    assert not set(found.tolist()) & {30, 31}
    assert (found >= 0).sum() > 900


@tiles
def test_other_users_of_tiles_are_not_disturbed():
    a, b = torch.randn(300, 200).bfloat16(), torch.randn(200, 100).bfloat16()
    x, codebook = torch.randn(1000, 64), torch.randn(200, 64)
    before, codes = a @ b, lookup.nearest_codes(x, codebook)
    for _ in range(3):
        assert torch.equal(lookup.nearest_codes(x, codebook), codes)
        assert torch.equal(a @ b, before)


class Forgetful:
    """A library that has no memory left."""

    def vqbn_nearest_codes_1(self, *_):
        return 1


def test_too_little_memory_leaves_it_to_the_tiled_lookup(monkeypatch):
    x, codebook = torch.randn(1000, 32), torch.randn(300, 32)
    expected = lookup.nearest_codes(x, codebook)
    monkeypatch.setattr(compiled_lookup, "_library", lambda: Forgetful())
    for kernel in Kernel:
        monkeypatch.setattr(lookup, "best_kernel", lambda kernel=kernel: kernel)
        assert torch.equal(lookup.nearest_codes(x, codebook), expected)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder in which the compiled library is looked for."""
    monkeypatch.setattr(compiled_lookup, "__file__", str(tmp_path / "compiled_lookup.py"))
    for cached in (compiled_lookup._library, best_kernel):
        cached.cache_clear()
    yield tmp_path
    for cached in (compiled_lookup._library, best_kernel):
        cached.cache_clear()


def test_without_it_nothing_is_said(elsewhere, caplog):
    assert best_kernel() == Kernel.NONE
    assert lookup.nearest_codes(torch.eye(5), torch.eye(5)).tolist() == [0, 1, 2, 3, 4]
    assert not caplog.records


def test_a_damaged_one_is_named_once_and_not_used(elsewhere, caplog):
    (elsewhere / "_compiled_lookup.so").write_bytes(b"not a library")
    for _ in range(2):
        assert lookup.nearest_codes(torch.eye(5), torch.eye(5)).tolist() == [0, 1, 2, 3, 4]
    assert len(caplog.records) == 1
    assert str(elsewhere / "_compiled_lookup.so") in caplog.text
    assert "install vqbn again" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="takes another library by its Linux name")
def test_one_of_another_version_is_not_used(elsewhere, caplog):
    library = next(Path(torch.__file__).parent.glob("lib/libc10.so"))
    (elsewhere / "_compiled_lookup.so").symlink_to(library)
    assert best_kernel() == Kernel.NONE
    assert "vqbn_nearest_codes_1" in caplog.text
