"""ESPnet's model with the bottleneck's loss and statistics."""

import argparse

import pytest
import torch

from vqbn import perplexity
from vqbn.errors import InputError

pytestmark = pytest.mark.usefixtures("espnet")

TOKENS = ["<blank>", "<unk>", "AA", "IY", "<sos/eos>"]


def build(model="vqbn", encoder="vqbn_deepspeech2", bottleneck_conf=None, **model_conf):
    from vqbn.espnet2.task import VQASRTask

    args = argparse.Namespace(
        token_list=list(TOKENS),
        model=model,
        model_conf={"ctc_weight": 1.0, **model_conf},
        input_size=21,
        specaug=None,
        normalize=None,
        encoder=encoder,
        encoder_conf={"conv_channels": 2, "lstm_layers": 1, "lstm_size": 8, "code_dim": 8}
        | {"bottleneck_conf": bottleneck_conf or {"codebook_size": 8}},
        decoder=None,
        ctc_conf={},
        init=None,
    )
    if encoder != "vqbn_deepspeech2":
        args.encoder_conf = {"output_size": 8}
    torch.manual_seed(0)
    return VQASRTask.build_model(args)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return {
        "speech": torch.randn(2, 30, 21),
        "speech_lengths": torch.tensor([30, 24]),
        "text": torch.tensor([[2, 3, 2], [3, 2, -1]]),
        "text_lengths": torch.tensor([3, 2]),
    }


def test_the_loss_is_espnets_and_the_weighted_one_of_the_bottleneck(batch):
    model = build(vq_weight=3.0).eval()
    with torch.no_grad():
        loss, stats, weight = model(**batch)
        _, _, codes = model.encoder(batch["speech"], batch["speech_lengths"])
    torch.testing.assert_close(loss, stats["loss_ctc"] + 3.0 * codes.loss)
    torch.testing.assert_close(stats["loss"], loss)
    torch.testing.assert_close(stats["loss_vq"], codes.loss[None])
    assert weight == 2


def test_gradients_reach_the_codebook(batch):
    model = build().train()
    loss, _, _ = model(**batch)
    loss.backward()
    assert model.encoder.bottleneck.codebook.grad.abs().sum() > 0


def test_statistics_are_those_of_the_valid_codes(batch):
    model = build().eval()
    with torch.no_grad():
        _, stats, _ = model(**batch)
        _, _, codes = model.encoder(batch["speech"], batch["speech_lengths"])
    valid = codes.indices[codes.indices >= 0]
    assert len(valid) == 10 + 8
    counts = valid.bincount(minlength=8)
    torch.testing.assert_close(stats["perplexity"], perplexity(counts).float()[None])
    assert stats["codes_used"] == (counts > 0).sum()
    torch.testing.assert_close(model.code_counts[0], counts)


def test_an_evaluation_counts_anew(batch):
    model = build().eval()
    with torch.no_grad():
        model(**batch)
        model(**batch)
        assert model.code_counts.sum() == 36
        model.train()
        assert model.code_counts is None
        model(**batch)
        assert model.code_counts is None
        model.eval()(**batch)
    assert model.code_counts.sum() == 18


def test_before_the_first_clustering_no_epoch_looks_good(batch):
    schedule = {"start": 3, "until": 3, "every": 1}
    waiting = build(bottleneck_conf={"codebook_size": 8, "reestimation": schedule}).eval()
    with torch.no_grad():
        _, stats, _ = waiting(**batch)
        _, quantised, _ = build().eval()(**batch)
    assert stats["vq_cer_ctc"] == stats["cer_ctc"] + 1
    assert quantised["vq_cer_ctc"] == quantised["cer_ctc"]
    assert "perplexity" not in stats
    assert stats["loss_vq"] == 0


def test_wrong_weights_and_encoders_are_refused():
    with pytest.raises(InputError, match="vq_weight: found -1"):
        build(vq_weight=-1)
    with pytest.raises(InputError, match="found vqbn with the encoder ConformerEncoder"):
        build(encoder="conformer")


def test_espnets_own_model_drops_the_loss(batch):
    loss, stats, _ = build(model="espnet").eval()(**batch)
    assert "loss_vq" not in stats
    torch.testing.assert_close(loss, stats["loss_ctc"])
