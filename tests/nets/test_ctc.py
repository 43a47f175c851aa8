import itertools
import math

import pytest
import torch

from vqbn.nets.ctc import ctc_loss


def brute_force(log_probs, target):
    """Minus the logarithm of the summed probability of all paths that merge to `target`."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        merged = [token for token, _ in itertools.groupby(path)]
        if [token for token in merged if token != 0] == target:
            total += math.exp(sum(log_probs[t, token].item() for t, token in enumerate(path)))
    return -math.log(total)


@pytest.mark.parametrize("target", [[1], [1, 2], [2, 2], []])
def test_it_is_the_probability_of_all_paths_per_target(target):
    log_probs = torch.randn(1, 4, 3).log_softmax(-1)
    loss = ctc_loss(log_probs, torch.tensor([4]), torch.tensor([target]), torch.tensor([len(target)]))
    assert loss.item() == pytest.approx(brute_force(log_probs[0], target) / max(1, len(target)), rel=1e-5)


def test_an_item_without_targets_learns_blanks():
    logits = torch.zeros(1, 5, 3, requires_grad=True)
    empty = torch.zeros(1, 0, dtype=torch.long)
    ctc_loss(logits.log_softmax(-1), torch.tensor([5]), empty, torch.tensor([0])).backward()
    assert (logits.grad[..., 0] < 0).all()
    assert (logits.grad[..., 1:] > 0).all()


def test_impossible_items_and_padding_count_nothing():
    log_probs = torch.randn(2, 4, 3, requires_grad=True)
    targets = torch.tensor([[1, 1, 1], [2, 0, 0]])
    both = ctc_loss(log_probs.log_softmax(-1), torch.tensor([4, 3]), targets, torch.tensor([3, 1]))
    alone = ctc_loss(log_probs[1:, :3].log_softmax(-1), torch.tensor([3]), targets[1:, :1], torch.tensor([1]))
    assert both.item() == pytest.approx(alone.item() / 2)
    both.backward()
    assert (log_probs.grad[0] == 0).all()
    assert (log_probs.grad[1, 3] == 0).all()


def test_over_tokens_every_token_of_the_batch_weighs_the_same():
    log_probs = torch.randn(3, 5, 3).log_softmax(-1)
    lengths, targets = torch.tensor([5, 5, 5]), torch.tensor([[1, 2, 1], [2, 0, 0], [0, 0, 0]])
    counts = torch.tensor([3, 1, 0])
    sums = [brute_force(x, y[:n].tolist()) for x, y, n in zip(log_probs, targets, counts, strict=True)]
    loss = ctc_loss(log_probs, lengths, targets, counts, "token")
    assert loss.item() == pytest.approx(sum(sums) / 5, rel=1e-5)
    assert loss.item() != pytest.approx(ctc_loss(log_probs, lengths, targets, counts).item(), rel=1e-3)
