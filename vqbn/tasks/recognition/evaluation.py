"""How well a recogniser does on whole utterances, while it is being trained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vqbn import perplexity
from vqbn.kaldi.speech import SpeechDataset
from vqbn.metrics.per import Errors, phone_errors
from vqbn.nets.best_path import greedy_decode
from vqbn.nets.ctc import ctc_loss
from vqbn.nets.deepspeech2 import valid_frames
from vqbn.tasks.recognition.data import whole_utterances
from vqbn.tasks.recognition.model import Recognizer


@dataclass
class Evaluation:
    """What `evaluate` finds.

    Attributes:
        per: phone error rate in percent, pooled; silence counts as a phone.
        loss: CTC loss in nats per token, averaged over utterances.
        quantised: whether codewords were in use (not: a linear bottleneck, or before the first clustering).
        perplexity: of the codes over all latents, averaged over codebooks; None where nothing is quantised.
        used_codes: codes seen at least once, over all codebooks; None where nothing is quantised.
        encoder_norm: mean norm of the projected vectors, which are what is compared with codewords.
    """

    per: float
    loss: float
    quantised: bool
    perplexity: float | None
    used_codes: int | None
    encoder_norm: float


@torch.no_grad()
def evaluate(model: Recognizer, dataset: SpeechDataset, batch_frames: int) -> Evaluation:
    """Recognise a set; the model's mode is restored afterwards.

    Args:
        model: on any device.
        dataset: the set.
        batch_frames: padded frames per batch at most.
    """
    device = next(model.parameters()).device
    bottleneck = model.bottleneck
    projected: list[Tensor] = []
    hook = bottleneck.projection.register_forward_hook(lambda module, inputs, output: projected.append(output))
    errors, loss, latents, norms = Errors(), 0.0, 0, 0.0
    counts: Tensor | None = None
    training = model.training
    model.eval()
    try:
        for _, batch in whole_utterances(dataset, batch_frames):
            output = model(batch.features.to(device), batch.lengths.to(device))
            lengths = output.lengths
            targets, target_lengths = batch.targets.to(device), batch.target_lengths.to(device)
            loss += len(lengths) * float(ctc_loss(output.log_probs, lengths, targets, target_lengths))
            references = [y[:n].tolist() for y, n in zip(batch.targets, batch.target_lengths.tolist(), strict=True)]
            errors += phone_errors(greedy_decode(output.log_probs, lengths), references)
            mask = valid_frames(lengths, output.log_probs.shape[1])
            vectors = projected.pop().reshape(*mask.shape, -1)[mask]
            if output.indices is not None:
                codes = output.indices[mask]
                vectors = vectors.view(*codes.shape, -1)
                if bool((codes >= 0).all()):
                    used = torch.stack([column.bincount(minlength=bottleneck.codebook_size) for column in codes.T])
                    counts = used if counts is None else counts + used
            norms += float(vectors.norm(dim=-1).double().sum())
            latents += vectors[..., 0].numel()
    finally:
        hook.remove()
        model.train(training)
    return Evaluation(
        per=errors.rate,
        loss=loss / len(dataset),
        quantised=counts is not None,
        perplexity=None if counts is None else float(perplexity(counts).double().mean()),
        used_codes=None if counts is None else int((counts > 0).sum()),
        encoder_norm=norms / latents,
    )
