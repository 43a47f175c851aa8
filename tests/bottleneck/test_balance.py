import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck, kmeans, nearest_codes, perplexity
from vqbn.bottleneck.balance import balance


def crowded(n=4000, dim=8):
    """A third of the vectors lie close together, as silence does."""
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(0))
    x[: n // 3] *= 0.02
    return x


def use(x, codebook):
    indices = nearest_codes(x, codebook)
    counts = torch.bincount(indices, minlength=len(codebook)).float()
    return float(perplexity(counts)), float((x - codebook[indices]).square().sum(1).mean())


def test_the_codewords_are_used_more_equally_at_little_more_distance():
    x = crowded()
    codebook = kmeans(x, 128)
    before, distance = use(x, codebook)
    after, larger = use(x, balance(x, codebook, 4))
    assert before < 70
    assert after > 1.4 * before
    assert larger < 1.15 * distance
    assert use(x, balance(x, codebook, 10))[0] > after


def test_heavy_clusters_are_cut_across_their_principal_axis():
    left, right = torch.randn(2, 300, 2, generator=torch.Generator().manual_seed(1)) * 0.1
    x = torch.cat([left - torch.tensor([3.0, 0.0]), right + torch.tensor([3.0, 0.0]), torch.tensor([[0.0, 90.0]])])
    # One codeword for both clouds, and one for a single far vector and none.
    codebook = torch.tensor([[0.0, 0.0], [0.0, 90.0], [0.0, -500.0]])
    got = balance(x, codebook, 1)
    assert got[:, 0].sort().values.tolist() == pytest.approx([-3.0, 0.0, 3.0], abs=0.05)


def test_no_rounds_or_nothing_to_split_change_nothing():
    x = crowded()
    codebook = kmeans(x, 16)
    assert torch.equal(balance(x, codebook, 0), codebook)
    equal = torch.ones(50, 3)
    assert torch.equal(balance(equal, torch.stack([equal[0], equal[0] + 1]), 3)[0], equal[0])
    assert balance(equal, equal[:1], 3).shape == (1, 3)


def test_the_input_stays_as_it_is_and_the_result_is_repeatable():
    x = crowded()
    codebook = kmeans(x, 64)
    x_before, codebook_before = x.clone(), codebook.clone()
    first, second = balance(x, codebook, 3), balance(x, codebook, 3)
    assert torch.equal(first, second)
    assert torch.equal(x, x_before)
    assert torch.equal(codebook, codebook_before)


@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_a_bottleneck_balances_its_clusterings(update):
    found = []
    for rounds in (0, 6):
        bottleneck = VQBottleneck(
            8, 8, 128, projection=False, update=update, reestimation=ReestimationSchedule(2, 2, 1), balance=rounds
        )
        bottleneck(crowded())
        bottleneck(crowded())
        bottleneck.eval()
        counts = torch.bincount(bottleneck(crowded()).indices[:, 0], minlength=128).float()
        found.append(float(perplexity(counts)))
    assert found[1] > 1.4 * found[0]


@pytest.mark.parametrize(("rounds", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_rounds_are_a_whole_number(rounds, error):
    with pytest.raises(error, match="balance"):
        VQBottleneck(4, 4, 8, balance=rounds)
