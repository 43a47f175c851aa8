"""The moving-average codebook against equation 4 and Proposition 1."""

import pytest
import torch

from vqbn import VQBottleneck
from vqbn.bottleneck.ema import ema_update


@pytest.mark.parametrize("num_codebooks", [1, 2])
def test_the_codebook_follows_equation_4(num_codebooks):
    torch.manual_seed(0)
    vq = VQBottleneck(6, 6, 8, num_codebooks, projection=False, update="ema", ema_decay=0.9, codebook_init=1.0)
    codebook, count, total = vq.codebook.double(), torch.ones(num_codebooks, 8).double(), vq.codebook.double()
    for _ in range(40):
        x = torch.randn(4, 5, 6) + 1
        mask = torch.rand(4, 5) < 0.8
        assert torch.allclose(vq(x, mask=mask).quantized[~mask], torch.zeros(()))
        vectors = x[mask].double().unflatten(1, (num_codebooks, -1))
        for c in range(num_codebooks):
            indices = torch.cdist(vectors[:, c], codebook[c]).argmin(1)
            assigned = torch.nn.functional.one_hot(indices, 8).double()
            count[c] = count[c] * 0.9 + assigned.sum(0) * 0.1
            total[c] = total[c] * 0.9 + assigned.t() @ vectors[:, c] * 0.1
            codebook[c] = total[c] / count[c].unsqueeze(1)
        # Without follow, what a forward leaves to do is done when the next begins.
        vq.learner.complete_update(vq.codebook, vq.has_codewords, vq.ema_counts, vq.ema_sums, True)
        assert torch.allclose(vq.ema_counts.double(), count, rtol=1e-5)
        assert torch.allclose(vq.codebook.double(), codebook, rtol=1e-4, atol=1e-5)
    assert vq.updates == 40


def test_counts_begin_at_one_and_sums_at_the_codewords():
    vq = VQBottleneck(4, 4, 8, update="ema")
    assert torch.equal(vq.ema_counts, torch.ones(1, 8))
    assert torch.equal(vq.ema_sums, vq.codebook)


def test_codewords_that_are_not_used_stay_for_100_000_updates():
    torch.manual_seed(0)
    codebook = torch.randn(3, 4)
    start = codebook.clone()
    counts, sums = torch.ones(3), codebook.clone()
    used, none = torch.tensor([2.0, 0.0, 0.0]), torch.zeros(3)
    vectors = torch.randn(2, 4)
    new = torch.zeros(3, 4)
    new[0] = vectors.sum(0)
    for _ in range(100_000):
        ema_update(codebook, counts, sums, used, new, 0.99)
    assert torch.allclose(codebook[0], vectors.mean(0), atol=1e-5)
    assert torch.allclose(codebook[1:], start[1:], rtol=1e-3)
    assert codebook.isfinite().all()
    assert (counts[1:] == 0).all()
    # And the first vectors after that are all it then knows.
    used[1], new[1] = 3.0, 3 * torch.ones(4)
    ema_update(codebook, counts, sums, used, new, 0.99)
    assert torch.allclose(codebook[1], torch.ones(4))
    assert torch.allclose(codebook[2], start[2], rtol=1e-3)
    ema_update(codebook, counts, sums, none, torch.zeros(3, 4), 0.99)
    assert torch.allclose(codebook[1], torch.ones(4))


def test_where_the_count_is_too_small_the_codeword_stays():
    codebook, counts = torch.ones(2, 3), torch.tensor([1.1e-6, 0.9e-6])
    sums = 5 * counts.unsqueeze(1).expand(2, 3).clone()
    ema_update(codebook, counts, sums, torch.zeros(2), torch.zeros(2, 3), 0.999)
    assert torch.allclose(codebook, torch.tensor([[5.0], [1.0]]).expand(2, 3))


@pytest.mark.parametrize("decay", [0.9, 0.99])
def test_proposition_1_moving_averages_are_gradient_descent_with_another_learning_rate(decay):
    """With one vector per codeword and step, N stays 1, and α = (1 - γ) / 2 gives the same codebook."""
    torch.manual_seed(0)
    size, dim = 5, 3
    # Codewords far apart, so that each keeps taking the one vector that is drawn near to it.
    places = 10 * torch.eye(size, dim) + 10 * torch.arange(size).unsqueeze(1)
    average, gradient = (
        VQBottleneck(dim, dim, size, projection=False, update=update, ema_decay=decay, commitment=0.25)
        for update in ("ema", "gradient")
    )
    with torch.no_grad():
        for tensor in (average.codebook, average.ema_sums, gradient.codebook):
            tensor.copy_(places)
    optimizer = torch.optim.SGD([gradient.codebook], lr=(1 - decay) / 2)
    gradient.follow(optimizer)
    for _ in range(300):
        x = (places + torch.randn(size, dim))[torch.randperm(size)].unsqueeze(0)
        average(x)
        output = gradient(x)
        optimizer.zero_grad()
        # The loss is a mean over vectors and dimensions; the proposition's is a sum.
        (output.loss * size * dim).backward()
        optimizer.step()
        average.learner.complete_update(
            average.codebook, average.has_codewords, average.ema_counts, average.ema_sums, True
        )
        assert torch.allclose(average.ema_counts, torch.ones(1, size))
        assert torch.allclose(average.codebook, gradient.codebook, rtol=1e-5, atol=1e-4)
    assert (average.codebook - places).abs().max() > 0.1
