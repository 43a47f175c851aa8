"""The compiled lookup is there where it can be, and where it can't be the tiled one takes its place."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from vqbn.bottleneck import compiled_lookup, lookup


def flags() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())


widths = [16] * ("avx512f" in flags()) + [8] * ({"avx2", "fma"} <= flags())
compiled = pytest.mark.skipif(compiled_lookup.lanes() == 0, reason="the kernel isn't compiled, or can't run here")


@pytest.mark.skipif(not widths or shutil.which("c++") is None, reason="no such processor, or no compiler for it")
def test_it_is_compiled_where_it_can_be():
    assert compiled_lookup.lanes() == widths[0], "install vqbn again: pip install -e ."


@compiled
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("codebooks", [1, 3])
@pytest.mark.parametrize(("count", "size", "dim"), [(1, 1, 1), (31, 11, 5), (33, 13, 64), (500, 301, 17)])
def test_registers_and_threads_change_nothing(threads, codebooks, count, size, dim):
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, codebooks, dim, generator=generator)
    codebook = torch.randn(codebooks, size, dim, generator=generator)
    distances = torch.cdist(x.double().transpose(0, 1), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for width in widths:
            found = compiled_lookup.compiled_nearest_codes(x, codebook, codebook.mean(1), width)
            assert torch.equal(found, distances.argmin(2).t())
    finally:
        torch.set_num_threads(before)


@compiled
def test_every_codebook_has_its_own_vectors_whatever_the_strides():
    x, codebooks = torch.randn(16, 3, 70).transpose(0, 2), torch.randn(3, 40, 16)
    found = lookup.nearest_codes(x, codebooks)
    assert torch.equal(found, torch.ops.vqbn.nearest_codes(x.contiguous(), codebooks))
    assert torch.equal(found[::2, 1], lookup.nearest_codes(x[::2, 1], codebooks[1]))


class Forgetful:
    """A library that has no memory left."""

    def vqbn_lanes(self):
        return 16

    def vqbn_nearest_codes_1(self, *_):
        return 1


def test_too_little_memory_leaves_it_to_the_tiled_lookup(monkeypatch):
    x, codebook = torch.randn(40, 8), torch.randn(30, 8)
    expected = lookup.nearest_codes(x, codebook)
    monkeypatch.setattr(compiled_lookup, "_library", lambda: Forgetful())
    assert torch.equal(lookup.nearest_codes(x, codebook), expected)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder in which the compiled library is looked for."""
    monkeypatch.setattr(compiled_lookup, "__file__", str(tmp_path / "compiled_lookup.py"))
    compiled_lookup._library.cache_clear()
    yield tmp_path
    compiled_lookup._library.cache_clear()


def test_without_it_nothing_is_said(elsewhere, caplog):
    assert compiled_lookup.lanes() == 0
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
    assert compiled_lookup.lanes() == 0
    assert "vqbn_nearest_codes_1" in caplog.text
