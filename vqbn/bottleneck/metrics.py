"""How much of a codebook is used, and what the codes cost in bits."""

from collections.abc import Sequence

import torch


def perplexity(counts: torch.Tensor | Sequence) -> torch.Tensor:
    """Perplexity of the codes of a whole set: exp of the entropy of the codewords' relative frequencies.

    Add up the counts of all batches and call this once: the result is then that of the set, however it was split.
    The mean of batches' perplexities is something else.

    Args:
        counts: how often each codeword was used, (K,), or one row per codebook, (..., K).

    Returns:
        float64 (), or (...): from 1, one codeword only, to K, all equally often; nan where nothing was counted.

    Raises:
        ValueError: a count is negative or not finite, or there are no codewords.
    """
    counts = torch.as_tensor(counts).detach().to(torch.float64)
    if counts.dim() == 0 or counts.shape[-1] == 0:
        raise ValueError(f"counts must have the shape (..., K) with K >= 1, not {tuple(counts.shape)}")
    if not bool((counts.isfinite() & (counts >= 0)).all()):
        raise ValueError("counts must be finite and not negative")
    frequencies = counts / counts.sum(-1, keepdim=True)
    return torch.special.entr(frequencies).sum(-1).exp()


def uniform_nelbo(
    reconstruction_bpd: float, codebook_size: float | Sequence | torch.Tensor, dimensions_per_code: float
) -> float:
    """Negative evidence lower bound in bits per dimension with a uniform prior over the codes (the paper, Table II).

    Args:
        reconstruction_bpd: bits per dimension of the reconstruction, given the codes.
        codebook_size: K; with several codebooks one each, or one for all.
        dimensions_per_code: data dimensions (pixels, or pixels x 3) per code index: 32 * 4 = 128 for ScribbleLens,
            3,072 / (64 * 8) = 6 for CIFAR-10 with 8 codebooks.

    Returns:
        reconstruction_bpd + log2(codebook_size) / dimensions_per_code, with the mean logarithm over codebooks.

    Raises:
        ValueError: a codebook size is below 1, or `dimensions_per_code` isn't positive.
    """
    return reconstruction_bpd + _bits_per_code(codebook_size, "codebook_size") / _positive(dimensions_per_code)


def unigram_nelbo(
    reconstruction_bpd: float, perplexity: float | Sequence | torch.Tensor, dimensions_per_code: float
) -> float:
    """Negative evidence lower bound in bits per dimension with the codes' own frequencies as prior (Table II).

    Args:
        reconstruction_bpd: bits per dimension of the reconstruction, given the codes.
        perplexity: of the codes over the same set; with several codebooks one each.
        dimensions_per_code: data dimensions per code index, as for `uniform_nelbo`.

    Returns:
        reconstruction_bpd + log2(perplexity) / dimensions_per_code, with the mean logarithm over codebooks.

    Raises:
        ValueError: a perplexity is below 1, or `dimensions_per_code` isn't positive.
    """
    return reconstruction_bpd + _bits_per_code(perplexity, "perplexity") / _positive(dimensions_per_code)


def _bits_per_code(choices: float | Sequence | torch.Tensor, name: str) -> float:
    choices = torch.as_tensor(choices, dtype=torch.float64).detach()
    # A perplexity of one codeword may come out a rounding error below 1.
    if choices.numel() == 0 or not bool((choices.isnan() | (choices > 1 - 1e-9)).all()):
        raise ValueError(f"{name} must be at least 1")
    return choices.log2().mean().item()


def _positive(dimensions_per_code: float) -> float:
    if not dimensions_per_code > 0:
        raise ValueError(f"dimensions_per_code must be positive, not {dimensions_per_code}")
    return dimensions_per_code
