"""Bits per dimension of images, with and without their codes (Table III of the paper)."""

import math

import numpy as np

from vqbn import perplexity, uniform_nelbo, unigram_nelbo
from vqbn.metrics.codes import mean_perplexity


def image_scores(nll: float, dimensions: int, usage: np.ndarray | None) -> dict[str, float]:
    """The scores of a whole set, from sums over it, so that they don't depend on how it was batched.

    Args:
        nll: negative log-likelihood of the set given its codes, in nats.
        dimensions: of the set: images x height x width x channels.
        usage: (num_codebooks, K) how often each code occurs in the set; None where nothing is quantised.

    Returns:
        `reconstruction_bpd`; and with codes `uniform_nelbo` (what Table III calls BPD), `unigram_nelbo`, `perplexity`
        (the mean over codebooks), `used_codes` and `codes_seen` (over all codebooks) and `codebook_size` (of one).
    """
    scores: dict[str, float] = {"reconstruction_bpd": nll / dimensions / math.log(2)}
    if usage is None:
        return scores
    size, seen = usage.shape[1], int(usage.sum())
    per_code = dimensions / seen
    return scores | {
        "uniform_nelbo": uniform_nelbo(scores["reconstruction_bpd"], size, per_code),
        "unigram_nelbo": unigram_nelbo(scores["reconstruction_bpd"], perplexity(usage), per_code),
        "perplexity": mean_perplexity(usage),
        "used_codes": int((usage > 0).sum()),
        "codes_seen": seen,
        "codebook_size": size,
    }
