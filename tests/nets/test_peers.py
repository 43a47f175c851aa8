"""Other people's quantisers behind our interface; skipped where vector-quantize-pytorch is not installed."""

import copy
import sys

import pytest
import torch

from vqbn.errors import InputError
from vqbn.nets.peers import FSQ_LEVELS, PEERS, PeerBottleneck, make_peer
from vqbn.runs.averaging import take_over
from vqbn.runs.keys import PEERS as PEERS_OF_THE_CONFIGURATION


def peer(name, size=256, **changes):
    pytest.importorskip("vector_quantize_pytorch", reason="the extra `peers` is not installed")
    torch.manual_seed(0)
    return make_peer(name, 12, 8, size, **changes)


def batch(seed=0, items=4, time=100):
    return torch.randn(items, time, 12, generator=torch.Generator().manual_seed(seed))


def test_the_configuration_knows_the_same_peers():
    assert PEERS_OF_THE_CONFIGURATION == PEERS


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vector_quantize_pytorch", None)
    with pytest.raises(InputError, match=r"tools/setup\.sh --extras peers") as raised:
        make_peer("simvq", 12, 8, 256)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", PEERS)
def test_outputs_are_those_of_a_bottleneck(name):
    bottleneck = peer(name)
    output = bottleneck(batch(), lengths=torch.tensor([100, 80, 1, 50]))
    assert output.quantized.shape == (4, 100, 8)
    assert output.indices.shape == (4, 100, 1)
    assert output.indices.dtype == torch.int64
    assert output.loss.shape == ()
    assert bottleneck.codebook_size == (240 if name == "fsq" else 256)
    assert int(output.indices.max()) < bottleneck.codebook_size
    for item, length in enumerate((100, 80, 1, 50)):
        assert (output.indices[item, :length] >= 0).all()
        assert (output.indices[item, length:] == -1).all()
        assert not output.quantized[item, length:].any()


@pytest.mark.parametrize("normalization", ["none", "batch"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PEERS)
def test_padding_changes_nothing(name, training, normalization):
    """The same sequences, padded further and with other values there: outputs, loss and what is learnt are equal."""
    short, x = peer(name, normalization=normalization), batch()
    long = copy.deepcopy(short)
    lengths = torch.tensor([100, 80, 1, 50])
    padded = torch.cat([x, torch.full((4, 30, 12), 1e3)], dim=1)
    for item, length in enumerate(lengths):
        padded[item, length:] = -50.0
    for bottleneck in (short, long):
        torch.manual_seed(3)
        bottleneck(batch(1))
        bottleneck.train(training)
    torch.manual_seed(4)
    one = short(x, lengths=lengths)
    torch.manual_seed(4)
    other = long(padded, lengths=lengths)
    torch.testing.assert_close(one.quantized, other.quantized[:, :100])
    assert torch.equal(one.indices, other.indices[:, :100])
    torch.testing.assert_close(one.loss, other.loss)
    for mine, theirs in zip(short.buffers(), long.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("name", PEERS)
def test_one_index_is_one_codeword(name):
    bottleneck = peer(name)
    bottleneck(batch(1))
    bottleneck.eval()
    output = bottleneck(batch())
    quantized, indices = output.quantized.reshape(-1, 8), output.indices.reshape(-1)
    for index in indices.unique()[:20]:
        rows = quantized[indices == index]
        torch.testing.assert_close(rows, rows[:1].expand_as(rows))


@pytest.mark.parametrize("name", PEERS)
def test_the_encoder_learns_from_the_task_through_it(name):
    bottleneck, x = peer(name), batch().requires_grad_()
    output = bottleneck(x)
    (output.quantized.square().sum() + output.loss).backward()
    assert x.grad.abs().sum() > 0
    assert bottleneck.projection.weight.grad.abs().sum() > 0


def test_behind_batch_normalisation_small_latents_have_more_than_one_code():
    plain, normalized = peer("fsq"), peer("fsq", normalization="batch")
    small = 0.01 * batch()
    assert len(plain(small).indices.unique()) <= 2
    assert len(normalized(small).indices.unique()) > 20
    learnt = normalized.eval()(batch()).indices
    normalized(batch(1))
    assert torch.equal(normalized(batch()).indices, learnt)


@pytest.mark.parametrize("name", ["vqp_ema", "rotation", "cosine"])
def test_an_averaged_copy_takes_the_codebook_over(name):
    bottleneck = peer(name)
    averaged = copy.deepcopy(bottleneck)
    bottleneck(batch())
    assert not torch.equal(averaged.layer.codebook, bottleneck.layer.codebook)
    take_over(averaged, bottleneck)
    assert torch.equal(averaged.layer.codebook, bottleneck.layer.codebook)
    assert bool(averaged.layer._codebook.initted)


def test_a_dead_threshold_below_the_mean_use_replaces_only_codes_that_nothing_uses():
    bottleneck = peer("vqp_ema", size=64, decay=0.99, dead_threshold=0.1)
    for seed in range(5):
        bottleneck(batch(seed))
    bottleneck.eval()
    assert len(bottleneck(batch(9)).indices.unique()) > 50


@pytest.mark.parametrize("size", FSQ_LEVELS)
def test_levels_are_near_the_size_they_stand_for(size):
    bottleneck = peer("fsq", size)
    assert 0.9 * size < bottleneck.codebook_size < 1.1 * size


def test_what_is_not_a_peer_is_refused():
    with pytest.raises(ValueError, match="peer must be one of vqp_ema"):
        peer("other")
    with pytest.raises(InputError, match=r"found 300, expected one of \[256, 512"):
        peer("fsq", 300)


def test_an_empty_batch_has_no_codes():
    bottleneck = peer("simvq")
    output = bottleneck(batch(), lengths=torch.zeros(4, dtype=torch.int64))
    assert (output.indices == -1).all()
    assert output.loss.item() == 0
    assert isinstance(bottleneck, PeerBottleneck)
