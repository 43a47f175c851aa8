"""How a set of utterances uses the codebook."""

import math
from collections.abc import Iterable

import numpy as np

from vqbn import perplexity
from vqbn.errors import InputError


def usage_histogram(codes: Iterable[np.ndarray], codebook_size: int) -> np.ndarray:
    """How often each code occurs in a whole set.

    Args:
        codes: code indices of each utterance, integers (frames, num_codebooks); -1 means that nothing was chosen and
            is not counted.
        codebook_size: K, codewords per codebook.

    Returns:
        int64 (num_codebooks, K) counts; (1, K) for a set without utterances.

    Raises:
        InputError: an index is not in -1 ... K - 1.
        ValueError: the arrays don't agree on the number of codebooks.
    """
    counts = None
    for chosen in codes:
        if chosen.size and not -1 <= chosen.min() <= chosen.max() < codebook_size:
            raise InputError(
                f"code indices go from {chosen.min()} to {chosen.max()}, expected -1 to {codebook_size - 1}: "
                "the codes are of another model than codebook_size; decode again"
            )
        if counts is None:
            counts = np.zeros((chosen.shape[1], codebook_size), dtype=np.int64)
        for row, column in zip(counts, chosen.T, strict=True):
            row += np.bincount(column[column >= 0], minlength=codebook_size)
    return np.zeros((1, codebook_size), dtype=np.int64) if counts is None else counts


def mean_perplexity(counts: np.ndarray) -> float:
    """Perplexity of the codes' unigram distribution over the whole set, 1 to K; with several codebooks their mean.

    Args:
        counts: (num_codebooks, K) from `usage_histogram`; every codebook has been used.
    """
    return float(np.mean([float(perplexity(row)) for row in counts]))


def bits_per_second(counts: np.ndarray, latents_per_second: float) -> float:
    """The rate of the codes under their unigram distribution: entropy in bits per latent x latents per second.

    The codebooks of one latent are coded independently: their entropies add up.

    Args:
        counts: (num_codebooks, K) from `usage_histogram`.
        latents_per_second: 33.3 for three 10 ms frames per latent.
    """
    return latents_per_second * sum(math.log2(float(perplexity(row))) for row in counts)
