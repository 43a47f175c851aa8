"""How well an autoencoder of handwriting describes whole lines."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from vqbn import uniform_nelbo, unigram_nelbo
from vqbn.corpora.packed_lines import LineDataset
from vqbn.metrics.codes import mean_perplexity, usage_histogram
from vqbn.metrics.units import joint_codes, phone_purity
from vqbn.nets.deepspeech2 import valid_frames
from vqbn.tasks.handwriting.data import whole_lines
from vqbn.tasks.handwriting.model import LineAutoencoder


@dataclass
class LineScores:
    """What `score_lines` finds.

    Attributes:
        nats: −ln p(line | codes) of each line, float64, summed over its pixels.
        pixels: of each line.
        codes: int32 (latents, num_codebooks) of each line; empty where nothing is quantised.
        encoder_norm: mean norm of the projected vectors, which are what is compared with codewords.
    """

    nats: np.ndarray
    pixels: np.ndarray
    codes: list[np.ndarray] = field(default_factory=list)
    encoder_norm: float = math.nan

    @property
    def bpd(self) -> float:
        """Bits per pixel, over all pixels of all lines."""
        return float(self.nats.sum() / self.pixels.sum() / math.log(2))


@torch.no_grad()
def score_lines(
    model: LineAutoencoder, dataset: LineDataset, batch_columns: int = 4096, pixels: bool = True
) -> LineScores:
    """Score every pixel of every line given its codes; the model's mode is restored afterwards.

    Exact: a line goes through in one piece, padding is counted nowhere, and the sums are in float64.

    Args:
        model: on any device.
        dataset: the set.
        batch_columns: padded columns per batch at most.
        pixels: False: only the codes; the nats are NaN.
    """
    device = next(model.parameters()).device
    projected: list[torch.Tensor] = []
    hook = model.bottleneck.projection.register_forward_hook(lambda module, inputs, output: projected.append(output))
    scores = LineScores(np.zeros(len(dataset)), dataset.columns * dataset.height)
    codes: list[np.ndarray | None] = [None] * len(dataset)
    norms, vectors = 0.0, 0
    training = model.training
    model.eval()
    try:
        for lines, batch in whole_lines(dataset, batch_columns):
            given, lengths = batch.pixels.to(device), batch.lengths.to(device)
            if pixels:
                output = model(given, lengths)
                latents, indices = output.lengths, output.indices
                scores.nats[lines] = output.nats.double().sum((1, 2)).cpu().numpy()
            else:
                encoded, latents = model.encoder(model.decoder.ink(given), lengths)
                indices = model.bottleneck(encoded, lengths=latents).indices
                scores.nats[lines] = math.nan
            mask = valid_frames(latents, int(latents.max()))
            found = projected.pop().reshape(*mask.shape, -1)[mask].norm(dim=-1)
            norms, vectors = norms + float(found.double().sum()), vectors + len(found)
            if indices is not None and bool((indices[mask] >= 0).all()):
                chosen = indices.cpu().numpy().astype(np.int32)
                for row, line in enumerate(lines):
                    codes[line] = chosen[row, : int(latents[row])]
    finally:
        hook.remove()
        model.train(training)
    scores.codes = [code for code in codes if code is not None]
    scores.encoder_norm = norms / vectors
    return scores


def codebook_scores(
    codes: list[np.ndarray], reconstruction_bpd: float, codebook_size: int, dimensions_per_code: float
) -> tuple[dict[str, float], list[list[int]]]:
    """Use of the codebook over the whole set, and the two NELBOs (section IV-B of the paper).

    Args:
        codes: int32 (latents, num_codebooks) of each line.
        reconstruction_bpd: bits per pixel given the codes.
        codebook_size: K.
        dimensions_per_code: pixels per code index: 32 · 4 for the paper's model.

    Returns:
        The keys of `scores.json`, and the usage histogram (num_codebooks, K).
    """
    usage = usage_histogram(codes, codebook_size)
    perplexities = mean_perplexity(usage)
    scores = {
        "uniform_nelbo": float(uniform_nelbo(reconstruction_bpd, codebook_size, dimensions_per_code)),
        "unigram_nelbo": float(unigram_nelbo(reconstruction_bpd, perplexities, dimensions_per_code)),
        "perplexity": perplexities,
        "used_codes": int((usage > 0).sum()),
        "codes_seen": int(usage.sum()),
        "codebook_size": codebook_size,
    }
    return scores, usage.tolist()


def character_accuracy(codes: list[np.ndarray], labels: list[np.ndarray], subsampling: int, size: int) -> float | None:
    """The share of columns whose character is the most frequent one of their code, over aligned columns.

    The map from codes to characters is that of the set itself, as in the authors' code; it rises with the number of
    codes. Columns of no character (`*`) are left out.

    Args:
        codes: int32 (latents, num_codebooks) of each line.
        labels: int16 (columns,) character ids of each line, −1 where nobody knows.
        subsampling: columns per latent.
        size: K.

    Returns:
        A share, 0 to 1; None where no column has a character.
    """
    units = [np.repeat(joint_codes(c, size), subsampling)[: len(y)] for c, y in zip(codes, labels, strict=True)]
    unit, label = np.concatenate(units), np.concatenate(labels)
    known = label > 0
    return phone_purity(label[known], unit[known]) if known.any() else None
