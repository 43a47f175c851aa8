"""A codebook for frozen vectors: the draw, the fit, the scores."""

import numpy as np
import pytest
import torch

from vqbn import VQBottleneck
from vqbn.errors import InputError
from vqbn.runs.codebook_fit import draw_samples, fit_codebook, score_codebook


def items(count: int, rows: int = 20, dim: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    return [(f"u{n}", rng.normal(size=(rows, dim)) + n) for n in range(count)]


def test_held_out_items_are_apart_and_evenly_spaced():
    fit, rest = draw_samples(items(30, rows=5), capacity=10_000, share=0.1)
    assert (fit.seen, fit.items, rest.seen, rest.items) == (135, 27, 15, 3)
    data = items(30, rows=5)
    expected = np.concatenate([data[n][1] for n in (9, 19, 29)]).astype(np.float32)
    np.testing.assert_array_equal(rest.vectors, expected)
    assert not any((row == fit.vectors).all(1).any() for row in rest.vectors)


def test_others_may_be_held_out_and_what_is_not_finite_is_counted():
    data = items(3)
    data[1][1][5, 2] = np.nan
    fit, rest = draw_samples(data, 40, held_out=items(2, seed=7))
    assert (fit.seen, fit.items, fit.not_finite, len(fit.vectors)) == (59, 3, 1, 40)
    assert (rest.seen, rest.items) == (40, 2)
    again, _ = draw_samples(data, 40, held_out=items(2, seed=7))
    assert torch.equal(fit.vectors, again.vectors)


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(InputError, match="no vectors to fit"):
        draw_samples([], 10)
    with pytest.raises(InputError, match="5 items are too few"):
        draw_samples(items(5), 10)
    with pytest.raises(InputError, match="vectors of 4 dimensions; expected 3"):
        draw_samples(items(5, dim=3), 10, held_out=items(1, dim=4))


def test_separate_clusters_are_found_and_scored_as_the_bottleneck_scores_them():
    generator = torch.Generator().manual_seed(0)
    centres = 20 * torch.randn(6, 4, generator=generator)
    x = centres.repeat(50, 1) + 0.1 * torch.randn(300, 4, generator=generator)
    codebook = fit_codebook(x, 6, iterations=10)
    assert codebook.shape == (1, 6, 4)
    assert torch.cdist(centres, codebook[0]).min(1).values.max() < 0.2
    scores, counts = score_codebook(codebook, x)
    assert counts.tolist() == [[50] * 6]
    assert scores["perplexity"] == pytest.approx(6)
    assert (scores["used_codes"], scores["vectors"]) == (6, 300)
    quantized = VQBottleneck.from_codebook(codebook).eval()(x).quantized
    squared = (x - quantized).square().sum(1).mean().item()
    assert scores["error"] == pytest.approx(squared, rel=1e-4)
    variance = (x - x.mean(0)).square().sum(1).mean().item()
    assert scores["error_share"] == pytest.approx(squared / variance, rel=1e-4)


def test_several_codebooks_are_fitted_each_to_its_part():
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    codebooks = fit_codebook(x, 8, num_codebooks=2)
    assert codebooks.shape == (2, 8, 3)
    assert torch.equal(codebooks[0], fit_codebook(x[:, :3], 8)[0])
    whole, counts = score_codebook(codebooks, x)
    parts = [score_codebook(codebooks[c : c + 1], x[:, 3 * c : 3 * c + 3])[0] for c in range(2)]
    assert whole["error"] == pytest.approx(sum(part["error"] for part in parts))
    assert whole["perplexity"] == pytest.approx(sum(part["perplexity"] for part in parts) / 2)
    assert counts.sum(1).tolist() == [200, 200]


def test_what_cannot_be_fitted_names_the_option():
    x = torch.randn(10, 4)
    with pytest.raises(InputError, match="--num_codebooks: found 3, expected a divisor of the 4"):
        fit_codebook(x, 2, num_codebooks=3)
    with pytest.raises(InputError, match="--codebook_size: found 11, but there are only 10"):
        fit_codebook(x, 11)
