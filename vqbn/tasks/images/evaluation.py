"""How well an autoencoder does on a set of images, while it is being trained and afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqbn.tasks.images.data import as_batch
from vqbn.tasks.images.model import ImageAutoencoder
from vqbn.tasks.images.scoring import image_scores


@dataclass
class Coded:
    """A batch of images through a model.

    Attributes:
        nll: float64 (images,), nats per image, summed over its pixels and channels.
        indices: int64 (images, height / 4, width / 4, num_codebooks); -1 where nothing is quantised.
        norms: float64 scalar, the sum of the norms of the vectors that are compared with codewords.
        vectors: how many those are.
    """

    nll: Tensor
    indices: Tensor
    norms: Tensor
    vectors: int


@torch.no_grad()
def code_images(model: ImageAutoencoder, images: np.ndarray, batch_size: int) -> Iterator[Coded]:
    """Every image once, in order; the model's mode is restored afterwards.

    Args:
        model: on any device.
        images: uint8 (images, height, width, channels).
        batch_size: images per batch; the scores don't depend on it.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        for first in range(0, len(images), batch_size):
            batch = as_batch(images[first : first + batch_size]).to(device)
            latents = model.encode(batch)
            codes = model.bottleneck(latents)
            nll = model.score(batch, codes.quantized).double().sum((1, 2, 3))
            compared = latents.reshape(-1, model.bottleneck.codeword_dim)
            if model.bottleneck.normalization is not None:
                compared = model.bottleneck.normalization(compared, None, False, None)
            yield Coded(nll, codes.indices, compared.norm(dim=-1).double().sum(), len(compared))
    finally:
        model.train(training)


def evaluate_images(model: ImageAutoencoder, images: np.ndarray, batch_size: int) -> dict[str, float | bool | None]:
    """A point of the curve: the scores of a whole set.

    Args:
        model: on any device.
        images: uint8 (images, height, width, channels).
        batch_size: images per batch.
    """
    nll, norms, vectors, counts = 0.0, 0.0, 0, None
    size = model.bottleneck.codebook_size
    for coded in code_images(model, images, batch_size):
        nll += float(coded.nll.sum())
        norms += float(coded.norms)
        vectors += coded.vectors
        if bool((coded.indices >= 0).all()):
            used = torch.stack([column.bincount(minlength=size) for column in coded.indices.flatten(0, 2).T])
            counts = used if counts is None else counts + used
    usage = None if counts is None else counts.cpu().numpy()
    scores = image_scores(nll, images.size, usage)
    return {
        "dev_nelbo": scores.get("uniform_nelbo"),
        "dev_unigram_nelbo": scores.get("unigram_nelbo"),
        "dev_reconstruction_bpd": scores["reconstruction_bpd"],
        "quantised": usage is not None,
        "perplexity": scores.get("perplexity"),
        "used_codes": scores.get("used_codes"),
        "encoder_norm": norms / vectors,
    }
