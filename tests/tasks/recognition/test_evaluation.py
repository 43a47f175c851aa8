import pytest
import torch

from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import Tokens
from vqbn.metrics.per import phone_errors
from vqbn.nets.best_path import greedy_decode
from vqbn.runs.checkpoint import load_run
from vqbn.tasks.recognition.evaluation import evaluate
from vqbn.tasks.recognition.task import RECOGNITION


@pytest.fixture
def loaded(trained_run):
    return load_run(RECOGNITION, trained_run)


@pytest.fixture
def dev(speech_dump, loaded):
    return SpeechDataset(speech_dump / "dev", Tokens(loaded.about["tokens"]), read_cmvn(speech_dump / "cmvn.ark"))


def test_it_equals_decoding_one_utterance_at_a_time(loaded, dev):
    counts, hypotheses, references, norms = torch.zeros(8), [], [], []
    for utt in dev.utterances:
        features = torch.from_numpy(dev.features(utt))[None]
        with torch.no_grad():
            output = loaded.model(features, torch.tensor([features.shape[1]]))
            encoded, _ = loaded.model.encoder(features)
            bottleneck = loaded.model.bottleneck
            latents = bottleneck.projection(bottleneck.normalization(encoded.flatten(0, 1), None, False, None))
        norms.append(latents.norm(dim=-1))
        hypotheses += greedy_decode(output.log_probs, output.lengths)
        references.append(dev.targets(utt).tolist())
        counts += output.indices.flatten().bincount(minlength=8)
    frequencies = counts[counts > 0] / counts.sum()
    result = evaluate(loaded.model, dev, 10**6)
    assert result.per == phone_errors(hypotheses, references).rate
    assert result.quantised
    assert result.perplexity == pytest.approx((-(frequencies * frequencies.log()).sum()).exp().item(), rel=1e-5)
    assert result.used_codes == int((counts > 0).sum())
    assert result.encoder_norm == pytest.approx(torch.cat(norms).mean().item(), rel=1e-4)


@pytest.mark.parametrize("batch_frames", [1, 200])
def test_it_does_not_depend_on_the_batches(loaded, dev, batch_frames):
    result, other = evaluate(loaded.model, dev, 10**6), evaluate(loaded.model, dev, batch_frames)
    assert (other.per, other.used_codes) == (result.per, result.used_codes)
    assert other.perplexity == pytest.approx(result.perplexity)
    assert other.loss == pytest.approx(result.loss, rel=1e-5)
    assert other.encoder_norm == pytest.approx(result.encoder_norm, rel=1e-5)


def test_it_leaves_the_model_as_it_was(loaded, dev):
    loaded.model.train()
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    evaluate(loaded.model, dev, 1000)
    assert loaded.model.training
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())
