import math

import pytest
import torch
import torch.nn.functional as F

from vqbn import VQBottleneck
from vqbn.tasks.images.model import ImageAutoencoder


def autoencoder(channels=8, **options):
    torch.manual_seed(0)
    bottleneck = VQBottleneck(6, 6, 5, num_codebooks=3, projection=False, normalization="batch", **options)
    return ImageAutoencoder(bottleneck, channels, residual_channels=4)


@pytest.fixture
def images():
    return torch.randint(0, 256, (4, 3, 16, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_one_latent_stands_for_four_by_four_pixels(images):
    output = autoencoder()(images)
    assert output.nll.shape == images.shape
    assert output.indices.shape == (4, 4, 2, 3)
    assert output.loss.shape == ()
    assert 0 <= output.indices.min() <= output.indices.max() < 5


def test_the_likelihood_is_a_distribution_over_256_levels(images):
    model = autoencoder().eval()
    quantized = model.bottleneck(model.encode(images)).quantized
    logits = model.logits(quantized)
    assert logits.shape == (4, 16 * 8, 3, 256)
    expected = F.cross_entropy(logits.permute(0, 3, 2, 1).reshape(4, 256, 3, 16, 8), images.long(), reduction="none")
    torch.testing.assert_close(model(images).nll, expected)
    # For one value, e to the minus each level's score sums to 1.
    scores = [model.score(torch.full_like(images, level), quantized) for level in range(256)]
    torch.testing.assert_close(torch.stack(scores).neg().exp().sum(0), torch.ones(images.shape))


def test_chosen_positions_score_as_they_do_among_all(images):
    model = autoencoder().eval()
    positions = torch.tensor([5, 0, 127])
    torch.testing.assert_close(model(images, positions).nll, model(images).nll.flatten(2)[:, :, positions])


def test_the_loss_of_random_positions_is_that_of_all_on_average(images):
    model = autoencoder().eval()
    mean = model(images).nll.mean()
    parts = torch.randperm(128).split(32)
    torch.testing.assert_close(torch.stack([model(images, part).nll.mean() for part in parts]).mean(), mean)


def test_every_parameter_learns(images):
    model = autoencoder()
    output = model(images)
    (output.nll.mean() + output.loss).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_constant_image_is_learnt_and_reconstructed():
    model = autoencoder().train()
    images = torch.tensor([20, 130, 240], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 8, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        output = model(images)
        (output.nll.mean() + output.loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert model(images).nll.mean() < 0.3 * math.log(256)
    model.eval()
    quantized = model.bottleneck(model.encode(images)).quantized
    assert (model.reconstruct(quantized, mode=True) == images).all()
    assert (model.reconstruct(quantized).int() - images.int()).abs().max() < 60


def test_codes_alone_give_the_reconstruction(images):
    model = autoencoder().eval()
    output = model.bottleneck(model.encode(images))
    again = model.bottleneck.decode_indices(output.indices)
    assert torch.equal(model.reconstruct(again), model.reconstruct(output.quantized))
    assert torch.equal(model.code(images), output.indices)


def test_channels_innermost_in_memory_change_nothing(images):
    model = autoencoder().eval()
    expected = model(images).nll
    model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(model(images.to(memory_format=torch.channels_last)).nll, expected, rtol=1e-4, atol=1e-4)


def test_the_authors_size():
    bottleneck = VQBottleneck(256, 256, 128, num_codebooks=8, projection=False, normalization="batch")
    model = ImageAutoencoder(bottleneck)
    down = 4 * 4 * 3 * 256 + 4 * 4 * 256 * 256 + 2 * 2 * 256
    blocks = 2 * (3 * 3 * 256 * 256 + 256 * 256 + 2 * 2 * 256)
    encoder = down + blocks + 256 * 256 + 256
    decoder = 256 * 256 + 2 * 256 + blocks + 2 * (4 * 4 * 256 * 256 + 2 * 256)
    head = 256 * 768 + 768
    assert sum(p.numel() for p in model.parameters()) == encoder + 8 * 128 * 32 + 2 * 32 + decoder + head
