"""The handwriting encoder and the autoencoder around it: sizes, padding, what can be decoded again."""

import pytest
import torch

from vqbn.runs.config import parse_arguments
from vqbn.tasks.handwriting.encoder import HandwritingEncoder
from vqbn.tasks.handwriting.model import build_line_autoencoder
from vqbn.tasks.handwriting.task import HANDWRITING

SMALL = "--conv_channels 4 --lstm_size 8 --mixer_size 8 --pixelcnn_channels 6 --pixelcnn_layers 2 --vq_codebook_size 16"
SMALL += " --vq_code_dim 8 --vq_normalization batch"


def small(options: str = ""):
    argv = f"--dump d --expdir e {SMALL} {options}".split()
    return build_line_autoencoder(parse_arguments(argv, "test", "", HANDWRITING.keys), height=32, levels=4)


def test_the_default_is_the_authors_size():
    encoder = HandwritingEncoder()
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in encoder.named_children()}
    assert sizes["convolutions"] + sizes["norms"] == 6208640
    assert sizes["lstms"] + sizes["projections"] + sizes["norm"] == 160832


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 63, 64, 65])
def test_there_is_a_latent_for_every_four_columns_rounded_up(columns):
    encoder = HandwritingEncoder(channels=2, lstm_size=4).eval()
    x, lengths = encoder(torch.rand(1, columns, 32), torch.tensor([columns]))
    assert x.shape == (1, -(-columns // 4), 4)
    assert lengths.tolist() == [-(-columns // 4)]
    assert encoder(torch.rand(1, columns, 32))[0].shape == x.shape


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(training):
    lengths = torch.tensor([37, 20, 5])
    torch.manual_seed(0)
    pixels = torch.randint(0, 4, (3, 37, 32))
    results = []
    for columns in (37, 38, 52):
        for rubbish in (0, 3):
            model = small().train(training)
            padded = torch.full((3, columns, 32), rubbish)
            for row, n in enumerate(lengths):
                padded[row, :n] = pixels[row, :n]
            output = model(padded, lengths)
            assert output.lengths.tolist() == [10, 5, 2]
            assert (output.nats[1, 20:] == 0).all()
            (output.nats.sum() / 1000 + output.loss).backward()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            results.append((output.nats[:, :37], output.loss, *gradients, *model.encoder.buffers()))
    for other in results[1:]:
        for tensor, expected in zip(other, results[0], strict=True):
            torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=1e-5)


def test_lines_of_a_batch_do_not_see_each_other_in_evaluation():
    model = small().eval()
    pixels, lengths = torch.randint(0, 4, (2, 30, 32)), torch.tensor([30, 13])
    together = model(pixels, lengths)
    alone = model(pixels[1:, :13], lengths[1:])
    torch.testing.assert_close(together.nats[1:, :13], alone.nats, rtol=1e-4, atol=1e-5)
    assert torch.equal(together.indices[1, :4], alone.indices[0])


def test_codes_alone_give_the_condition_back():
    model = small().eval()
    pixels, lengths = torch.randint(0, 4, (2, 30, 32)), torch.tensor([30, 13])
    indices = model(pixels, lengths).indices
    condition = model.condition(indices, torch.tensor([8, 4]))
    logits = model.decoder(pixels, condition)
    nats = -logits.log_softmax(-1).gather(-1, pixels[..., None])[..., 0]
    torch.testing.assert_close(nats[1, :13], model(pixels, lengths).nats[1, :13], rtol=1e-4, atol=1e-5)


def test_every_part_learns():
    model = small()
    output = model(torch.randint(0, 4, (2, 24, 32)), torch.tensor([24, 24]))
    (output.nats.mean() + output.loss).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # The last layer's v reaches the output only through h of later layers, of which there are none after its gate.
    assert [name for name in missing if not name.startswith("decoder.layers.1.h_residual")] == []
