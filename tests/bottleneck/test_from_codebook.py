"""Bottlenecks around codewords that exist."""

import numpy as np
import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck, kmeans


def vectors(count: int, dim: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def test_frozen_features_get_the_nearest_of_the_codewords():
    x = vectors(200)
    codebook = kmeans(x, 8)
    bottleneck = VQBottleneck.from_codebook(codebook).eval()
    output = bottleneck(x)
    nearest = torch.cdist(x.double(), codebook.double()).argmin(1)
    assert torch.equal(output.indices[:, 0], nearest)
    assert torch.equal(output.quantized, codebook[nearest])
    assert torch.equal(bottleneck.decode_indices(output.indices), output.quantized)


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_arrays_several_codebooks_and_projections(update):
    codebooks = vectors(2 * 8, 3).numpy().astype(np.float64).reshape(2, 8, 3)
    bottleneck = VQBottleneck.from_codebook(codebooks, projection=True, input_dim=5, update=update)
    assert bottleneck.codebook.dtype == torch.float32
    assert (bottleneck.input_dim, bottleneck.code_dim, bottleneck.num_codebooks) == (5, 6, 2)
    np.testing.assert_allclose(bottleneck.codebook.detach(), codebooks, rtol=1e-6)
    if update == "ema":
        # An update without vectors leaves every codeword where it is.
        bottleneck(vectors(3, 5), mask=torch.zeros(3, dtype=torch.bool))
        bottleneck(vectors(3, 5), mask=torch.zeros(3, dtype=torch.bool))
        np.testing.assert_allclose(bottleneck.codebook, codebooks, rtol=1e-6)


def test_it_quantises_from_the_start_with_a_schedule_too_and_keeps_numbers():
    centres = 10 * vectors(8)
    x, codebook = centres.repeat(50, 1) + vectors(400), centres + 0.1
    schedule = ReestimationSchedule(3, 3, 1)
    bottleneck = VQBottleneck.from_codebook(codebook, reestimation=schedule)
    first = bottleneck(x).indices
    assert bool((first >= 0).all())
    for _ in range(2):
        later = bottleneck(x).indices
    assert [event.update for event in bottleneck.reestimations] == [3]
    assert not torch.equal(bottleneck.codebook[0], codebook)
    assert (later == first).float().mean() > 0.8, "the same vectors are called by the same numbers"
    restored = VQBottleneck.from_codebook(codebook, reestimation=schedule)
    restored.load_state_dict(bottleneck.state_dict())
    assert torch.equal(restored.eval()(x).indices, bottleneck.eval()(x).indices)


def test_it_is_a_copy():
    codebook = vectors(8)
    bottleneck = VQBottleneck.from_codebook(codebook)
    codebook.zero_()
    assert bool((bottleneck.codebook != 0).any())


@pytest.mark.parametrize(
    ("codebook", "options", "error", "named"),
    [
        (torch.zeros(8), {}, ValueError, "shape"),
        (torch.zeros(0, 4), {}, ValueError, "shape"),
        (torch.full((8, 4), torch.nan), {}, ValueError, "non-finite"),
        (torch.zeros(8, 4), {"codebook_size": 9}, TypeError, "codebook_size: settled"),
        (torch.zeros(8, 4), {"input_dim": 5}, ValueError, "projection"),
        (torch.zeros(8, 4), {"decay": 0.9}, TypeError, "decay"),
    ],
)
def test_what_does_not_fit_is_refused(codebook, options, error, named):
    with pytest.raises(error, match=named):
        VQBottleneck.from_codebook(codebook, **options)


def test_latents_are_what_is_compared():
    torch.manual_seed(0)
    bottleneck = VQBottleneck(5, 6, 8, num_codebooks=2, normalization="batch")
    bottleneck(torch.randn(2, 9, 5))
    x, lengths = torch.randn(3, 7, 5), torch.tensor([7, 2, 0])
    latents = bottleneck.latents(x, lengths=lengths)
    assert latents.shape == (9, 2, 3)
    assert not latents.requires_grad
    bottleneck.eval()
    indices = bottleneck(x, lengths=lengths).indices.flatten(0, 1)
    nearest = torch.stack([torch.cdist(latents[:, c], bottleneck.codebook[c]).argmin(1) for c in range(2)], 1)
    assert torch.equal(indices[(indices >= 0).all(1)], nearest)
    with pytest.raises(ValueError, match="last dimension"):
        bottleneck.latents(torch.randn(3, 4))
