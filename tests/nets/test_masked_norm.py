import torch
from torch import nn

from vqbn.nets.masked_norm import MaskedBatchNorm2d


def test_statistics_are_those_of_the_valid_frames():
    x, lengths = 3 + 2 * torch.randn(4, 5, 9, 6), torch.tensor([9, 1, 4, 7])
    mask = torch.arange(9) < lengths[:, None]
    norm, plain = MaskedBatchNorm2d(5), nn.BatchNorm2d(5)
    y = norm(x, mask)
    frames = torch.cat([x[row, :, :n].transpose(0, 1) for row, n in enumerate(lengths)])
    expected = plain(frames.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(y.transpose(1, 2)[mask], expected)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert (y.transpose(1, 2)[~mask] == 0).all()


def test_a_full_mask_is_no_mask():
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(MaskedBatchNorm2d(3)(x, torch.ones(2, 4, dtype=torch.bool)), MaskedBatchNorm2d(3)(x))


def test_a_batch_of_padding_leaves_no_trace():
    norm = MaskedBatchNorm2d(3)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    y = norm(torch.full((2, 3, 4, 5), torch.nan), torch.zeros(2, 4, dtype=torch.bool))
    assert (y == 0).all()
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
