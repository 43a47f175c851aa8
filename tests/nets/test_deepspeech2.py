import pytest
import torch

from vqbn.nets.deepspeech2 import Convolution, DeepSpeech2Encoder, speech_convolutions


def small(**changes):
    torch.manual_seed(0)
    return DeepSpeech2Encoder(**{"height": 21, "lstm_layers": 2, "lstm_size": 8} | changes)


def test_the_default_is_the_authors_size():
    encoder = DeepSpeech2Encoder()
    assert (
        sum(p.numel() for p in encoder.convolutions.parameters()) + sum(p.numel() for p in encoder.norms.parameters())
        == 55072
    )
    assert sum(p.numel() for p in encoder.lstms.parameters()) == 9093120


@pytest.mark.parametrize("time", [1, 2, 3, 4, 7, 63, 64, 65])
def test_there_are_a_third_as_many_latents_rounded_up(time):
    encoder = small(convolutions=speech_convolutions(4)).eval()
    x, lengths = encoder(torch.randn(1, time, 21, 3), torch.tensor([time]))
    assert x.shape == (1, -(-time // 3), 8)
    assert lengths.tolist() == [-(-time // 3)]
    assert encoder(torch.randn(1, time, 21, 3))[0].shape == x.shape


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rubbish", [0.0, 1e3, float("nan")])
def test_padding_changes_nothing(training, rubbish):
    lengths = torch.tensor([11, 5, 8])
    features = torch.randn(3, 11, 21, 3)
    results = []
    for time in (11, 12, 20):
        encoder = small(convolutions=speech_convolutions(4)).train(training)
        padded = torch.full((3, time, 21, 3), rubbish)
        for row, n in enumerate(lengths):
            padded[row, :n] = features[row, :n]
        x, latents = encoder(padded, lengths)
        x[torch.arange(x.shape[1]) < latents[:, None]].square().mean().backward()
        gradients = [p.grad for p in encoder.parameters()]
        results.append((x[:, :4], *gradients, *encoder.buffers()))
        assert latents.tolist() == [4, 2, 3]
        assert (x[:, 4:] == 0).all()
        assert (x[1, 2:] == 0).all()
    for other in results[1:]:
        for tensor, expected in zip(other, results[0], strict=True):
            torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-6)


def test_items_of_a_batch_do_not_see_each_other_in_evaluation():
    encoder = small(convolutions=speech_convolutions(4)).eval()
    features, lengths = torch.randn(2, 13, 21, 3), torch.tensor([13, 7])
    x, _ = encoder(features, lengths)
    torch.testing.assert_close(encoder(features[1:, :7])[0][0], x[1, :3], rtol=1e-5, atol=1e-6)


def test_without_lengths_the_result_is_that_of_full_lengths():
    features = torch.randn(2, 12, 21, 3)
    plain, full = small(convolutions=speech_convolutions(4)), small(convolutions=speech_convolutions(4))
    x, lengths = plain(features)
    assert lengths is None
    torch.testing.assert_close(full(features, torch.tensor([12, 12]))[0], x, rtol=0, atol=0)
    for buffer, other in zip(plain.buffers(), full.buffers(), strict=True):
        assert torch.equal(buffer, other)


def test_the_packed_path_equals_the_plain_one():
    encoder = small(convolutions=speech_convolutions(4)).eval()
    features = torch.randn(2, 12, 21, 3)
    with torch.no_grad():
        packed, _ = encoder._encode(features, torch.tensor([12, 12]))
        torch.testing.assert_close(packed, encoder(features)[0], rtol=1e-5, atol=1e-6)


def test_other_stacks_keep_their_own_books():
    encoder = small(convolutions=[Convolution(4, (3, 3), (2, 2)), Convolution(5, (5, 5), (2, 1))], lstm_layers=1)
    assert encoder.subsampling == 4
    x, lengths = encoder(torch.randn(2, 13, 21, 3), torch.tensor([13, 6]))
    assert x.shape == (2, 4, 8)
    assert lengths.tolist() == [4, 2]
