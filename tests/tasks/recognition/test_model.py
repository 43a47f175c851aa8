import pytest
import torch

from vqbn import LinearBottleneck, VQBottleneck
from vqbn.nets.deepspeech2 import DeepSpeech2Encoder, speech_convolutions
from vqbn.nets.latent_mixer import LatentMixer
from vqbn.tasks.recognition.model import Recognizer


def make(bottleneck="vq", mixer=False):
    torch.manual_seed(0)
    encoder = DeepSpeech2Encoder(21, 3, speech_convolutions(4), lstm_layers=1, lstm_size=6)
    if bottleneck == "vq":
        bottleneck = VQBottleneck(6, 4, 7, normalization="batch", codebook_init=0.5)
    else:
        bottleneck = LinearBottleneck(6, 4)
    return Recognizer(encoder, bottleneck, 4, 5, latent_mixer=mixer)


@pytest.mark.parametrize("mixer", [False, True])
@pytest.mark.parametrize("bottleneck", ["vq", "linear"])
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(mixer, bottleneck, training):
    features, lengths = torch.randn(2, 12, 21, 3), torch.tensor([12, 7])
    results = []
    for extra in (0, 5):
        model = make(bottleneck, mixer).train(training)
        padding = torch.full((2, extra, 21, 3), torch.nan)
        output = model(torch.cat([features, padding], dim=1), lengths)
        assert output.lengths.tolist() == [4, 3]
        results.append((output.log_probs[0, :4], output.log_probs[1, :3], output.loss, *model.buffers()))
    for value, expected in zip(*results, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_outputs_are_log_posteriors_codes_and_a_loss():
    output = make()(torch.randn(2, 12, 21, 3), torch.tensor([12, 7]))
    torch.testing.assert_close(output.log_probs.exp().sum(-1), torch.ones(2, 4))
    assert output.indices.shape == (2, 4, 1)
    assert (output.indices[1, 3] == -1).all()
    assert output.loss.shape == ()
    assert make("linear")(torch.randn(2, 12, 21, 3)).indices is None


def test_every_parameter_learns():
    model = make(mixer=True)
    output = model(torch.randn(4, 30, 21, 3), torch.tensor([30, 30, 25, 30]))
    (output.log_probs[..., 0].sum() + output.loss).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_mixer_has_the_authors_size_and_reach():
    mixer = LatentMixer(64)
    assert sum(p.numel() for p in mixer.parameters()) == 53568
    x = torch.randn(1, 41, 64)
    y = mixer(x)
    x[0, 20] += 1
    changed = (mixer(x) != y).any(-1)[0].nonzero().flatten()
    assert (changed.min(), changed.max()) == (15, 25)


def test_it_exports_without_lengths():
    model = make().eval()
    features = torch.randn(1, 30, 21, 3)
    program = torch.export.export(model, (features,)).module()
    exported, output = program(features), model(features)
    torch.testing.assert_close(exported.log_probs, output.log_probs)
    assert torch.equal(exported.indices, output.indices)


def test_it_runs_in_another_runtime(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = make().eval()
    features = torch.randn(1, 30, 21, 3)
    path = tmp_path / "recognizer.onnx"
    torch.onnx.export(model, (torch.randn(1, 30, 21, 3),), str(path), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: features.numpy()})
    named = dict(zip([output.name for output in session.get_outputs()], found, strict=True))
    output = model(features)
    floats = [torch.from_numpy(value) for value in named.values() if value.dtype == "float32" and value.ndim == 3]
    integers = [torch.from_numpy(value) for value in named.values() if value.dtype == "int64" and value.ndim == 3]
    torch.testing.assert_close(floats[0], output.log_probs, atol=1e-4, rtol=1e-4)
    assert torch.equal(integers[0], output.indices)
