"""Encoders that end in a bottleneck, as ESPnet makes them."""

import pytest
import torch

from vqbn import VQBottleneck
from vqbn.errors import InputError

pytestmark = pytest.mark.usefixtures("espnet")

CONFORMER = {
    "encoder": "conformer",
    "encoder_conf": {
        "output_size": 16,
        "attention_heads": 2,
        "linear_units": 16,
        "num_blocks": 1,
        "input_layer": "conv2d",
    },
    "code_dim": 8,
    "bottleneck_conf": {"codebook_size": 8, "normalization": "batch"},
}
BRANCHFORMER = {
    "encoder": "branchformer",
    "encoder_conf": {
        "output_size": 16,
        "attention_heads": 2,
        "cgmlp_linear_units": 16,
        "num_blocks": 1,
        "input_layer": "conv2d",
    },
    "code_dim": 8,
    "bottleneck_conf": {"codebook_size": 8},
}
DEEPSPEECH2 = {
    "conv_channels": 4,
    "lstm_layers": 1,
    "lstm_size": 8,
    "code_dim": 8,
    "bottleneck_conf": {"codebook_size": 8},
}
ALL = [("vqbn_deepspeech2", DEEPSPEECH2), ("vqbn_wrapped", CONFORMER), ("vqbn_wrapped", BRANCHFORMER)]


def make(name, conf):
    from vqbn.espnet2.task import encoder_choices

    torch.manual_seed(0)
    return encoder_choices.get_class(name)(input_size=21, **conf)


@pytest.mark.parametrize(("name", "conf"), ALL)
def test_output_is_codewords_and_third_comes_what_the_bottleneck_gives(name, conf):
    encoder = make(name, conf).eval()
    output, lengths, codes = encoder(torch.randn(2, 40, 21), torch.tensor([40, 29]))
    assert encoder.output_size() == 8
    assert output.shape == (2, int(lengths.max()), 8)
    for row, length in enumerate(lengths.tolist()):
        words = encoder.bottleneck.decode_indices(codes.indices[row, :length])
        torch.testing.assert_close(output[row, :length], words)
        assert (codes.indices[row, length:] == -1).all()
    assert codes.loss > 0


@pytest.mark.parametrize(("name", "conf"), ALL)
def test_an_item_does_not_depend_on_how_much_it_is_padded(name, conf):
    encoder = make(name, conf).eval()
    x = torch.randn(1, 30, 21)
    alone, length, _ = encoder(x, torch.tensor([30]))
    batch = torch.randn(2, 50, 21)
    batch[0, :30] = x
    together, lengths, _ = encoder(batch, torch.tensor([30, 50]))
    shared = int(length[0]) - (2 if name == "vqbn_wrapped" else 0)  # ESPnet's convolutions see the padding at the end
    assert int(lengths[0]) >= shared
    torch.testing.assert_close(together[0, :shared], alone[0, :shared], atol=1e-4, rtol=1e-4)


def test_a_mixer_reads_neighbouring_codes():
    encoder = make("vqbn_deepspeech2", DEEPSPEECH2 | {"latent_mixer": True}).eval()
    x, lengths = torch.randn(2, 60, 21), torch.tensor([60, 30])
    output, _, codes = encoder(x, lengths)
    assert output.shape == (2, 20, encoder.output_size())
    torch.testing.assert_close(output, encoder.mixer(codes.quantized, torch.tensor([20, 10])))


def test_linear_bottleneck_has_no_codes():
    encoder = make("vqbn_deepspeech2", DEEPSPEECH2 | {"bottleneck": "linear", "bottleneck_conf": None, "deltas": False})
    output, _, codes = encoder(torch.randn(2, 12, 21), torch.tensor([12, 9]))
    assert output.shape == (2, 4, 8)
    assert codes.indices is None
    assert codes.loss == 0


@pytest.mark.parametrize(
    ("name", "conf", "said"),
    [
        ("vqbn_wrapped", {**CONFORMER, "encoder": "conformed"}, "found 'conformed', expected one of conformer"),
        ("vqbn_wrapped", {**CONFORMER, "encoder": "vqbn_deepspeech2"}, "found 'vqbn_deepspeech2', expected one of"),
        ("vqbn_wrapped", {**CONFORMER, "encoder_conf": {"outputs": 16}}, "of conformer: outputs: no such key"),
        (
            "vqbn_wrapped",
            {**CONFORMER, "encoder_conf": {**CONFORMER["encoder_conf"], "interctc_layer_idx": [1]}},
            "interctc_layer_idx: expected none",
        ),
        ("vqbn_deepspeech2", {**DEEPSPEECH2, "deltas": False, "cmvn": "cmvn.ark"}, "cmvn: found cmvn.ark"),
    ],
)
def test_what_cannot_stand_inside_is_named(name, conf, said):
    with pytest.raises(InputError) as error:
        make(name, conf)
    assert said in str(error.value)


def test_the_registries_still_have_what_espnet_puts_there():
    from espnet2.tasks.asr import encoder_choices, model_choices

    import vqbn.espnet2.task  # noqa: F401

    assert {"conformer", "branchformer", "vqbn_deepspeech2", "vqbn_wrapped"} <= set(encoder_choices.choices())
    assert {"espnet", "vqbn"} <= set(model_choices.choices())
    assert isinstance(make("vqbn_deepspeech2", DEEPSPEECH2).bottleneck, VQBottleneck)
