"""Perplexity and the NELBOs equal their formulas and the paper's tables."""

import math

import numpy as np
import pytest
import torch

from vqbn.bottleneck.metrics import perplexity, uniform_nelbo, unigram_nelbo

TABLE_II = [
    (0.213, 322, 0.307, 0.278),
    (0.216, 260, 0.309, 0.278),
    (0.212, 432, 0.306, 0.281),
    (0.207, 1118, 0.301, 0.287),
    (0.200, 2388, 0.294, 0.288),
    (0.200, 2446, 0.294, 0.288),
]


def by_definition(codes: torch.Tensor) -> float:
    frequencies = np.unique(codes.numpy(), return_counts=True)[1] / codes.numel()
    return math.exp(-sum(p * math.log(p) for p in frequencies))


@pytest.mark.parametrize("seed", range(3))
def test_perplexity_of_a_set_is_its_definition_however_it_is_split(seed):
    generator = torch.Generator().manual_seed(seed)
    codes = (torch.rand(10_000, generator=generator).square() * 500).long()
    results = set()
    for size in (1, 7, 333, 10_000):
        counts = torch.zeros(512, dtype=torch.int64)
        for batch in codes.split(size) if size > 1 else codes[:, None]:
            counts += torch.bincount(batch, minlength=512)
        results.add(perplexity(counts).item())
    assert len(results) == 1
    assert results.pop() == pytest.approx(by_definition(codes), rel=1e-12)


@pytest.mark.parametrize("size", [1, 2, 512, 65536])
def test_perplexity_of_the_extremes(size):
    one = torch.zeros(size, dtype=torch.int64)
    one[size // 2] = 1000
    assert perplexity(one).item() == 1
    assert perplexity(torch.full((size,), 7)).item() == pytest.approx(size, rel=1e-12)


def test_perplexity_takes_counts_too_large_for_float32():
    assert perplexity([2**40, 2**40, 2**40 + 1]).item() == pytest.approx(3, rel=1e-12)


def test_each_codebook_has_its_perplexity():
    counts = torch.tensor([[3, 3, 0, 0], [1, 1, 1, 1], [5, 0, 0, 0]])
    found = perplexity(counts)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([2, 4, 1], rel=1e-12)


def test_nothing_counted_has_no_perplexity():
    assert perplexity([[0, 0], [1, 1]]).isnan().tolist() == [True, False]


@pytest.mark.parametrize("counts", [[1, -1], [1.0, math.nan], [1.0, math.inf], [], 3])
def test_what_is_no_count_is_refused(counts):
    with pytest.raises(ValueError):
        perplexity(counts)


@pytest.mark.parametrize(("bpd", "pplx", "uniform", "unigram"), TABLE_II)
def test_table_ii(bpd, pplx, uniform, unigram):
    assert uniform_nelbo(bpd, 4096, 128) == pytest.approx(uniform, abs=1e-3)
    assert unigram_nelbo(bpd, pplx, 128) == pytest.approx(unigram, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_nelbos_equal_their_formulas(seed):
    rng = np.random.default_rng(seed)
    bpd, size, dimensions = rng.uniform(0, 5), int(rng.integers(2, 65536)), rng.uniform(1, 500)
    pplx = rng.uniform(1, size)
    assert uniform_nelbo(bpd, size, dimensions) == pytest.approx(bpd + math.log2(size) / dimensions, abs=1e-12)
    assert unigram_nelbo(bpd, pplx, dimensions) == pytest.approx(bpd + math.log2(pplx) / dimensions, abs=1e-12)


def test_several_codebooks_cost_the_mean_of_their_bits():
    # CIFAR-10, 8 codebooks of 128: 8 * 64 codes of 7 bits for 3,072 dimensions.
    assert uniform_nelbo(3.5, 128, 6) == pytest.approx(3.5 + 8 * 64 * 7 / 3072, abs=1e-12)
    each = torch.tensor([128.0, 64.0, 32.0, 100.0, 2.0, 128.0, 77.5, 1.0])
    expected = 3.5 + sum(64 * math.log2(p) for p in each.tolist()) / 3072
    assert unigram_nelbo(3.5, each, 6) == pytest.approx(expected, abs=1e-12)
    assert unigram_nelbo(3.5, each.tolist(), 6) == pytest.approx(expected, abs=1e-12)
    assert uniform_nelbo(3.5, [128, 1024], 6) == pytest.approx(3.5 + 8.5 / 6, abs=1e-12)


def test_evenly_used_codes_make_the_two_nelbos_equal():
    assert unigram_nelbo(0.2, perplexity(torch.full((4096,), 3)), 128) == pytest.approx(
        uniform_nelbo(0.2, 4096, 128), abs=1e-12
    )


def test_a_codebook_that_was_not_used_has_no_nelbo():
    assert math.isnan(unigram_nelbo(0.2, perplexity([0, 0]), 128))


@pytest.mark.parametrize("function", [uniform_nelbo, unigram_nelbo])
def test_what_makes_no_sense_is_refused(function):
    for choices, dimensions in ((0.5, 128), (-1, 128), ([], 128), (16, 0), (16, -1), (16, math.nan)):
        with pytest.raises(ValueError):
            function(0.2, choices, dimensions)
