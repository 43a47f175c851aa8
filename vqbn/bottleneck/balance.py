"""Equal use of the codewords: heavy clusters are split in the place of light ones."""

import torch

from vqbn.bottleneck.lookup import nearest_codes

_SHARE = 0.05


def balance(x: torch.Tensor, codebook: torch.Tensor, rounds: int) -> torch.Tensor:
    """Even out how many vectors each codeword stands for.

    K-means puts few codewords where many vectors lie close together: silence, paper, background. In each round the
    5 % of the codewords that are used least give up their place to the 5 % used most: such a cluster is cut in two at
    its mean, across its principal axis, if each half still has more vectors than the codeword that goes. After it all
    move to the means of their vectors. The perplexity rises, and so, a little, does the mean squared distance. This is
    the splitting of Linde, Buzo and Gray (1980), at a constant number of codewords.

    Args:
        x: vectors, float (N, D), all finite.
        codebook: (K, D), in which it may begin.
        rounds: how often; 0 gives `codebook` back.

    Returns:
        A codebook like `codebook`; what rounding decides aside, the same whatever the number of threads.
    """
    if not rounds:
        return codebook
    codebook, vectors = codebook.clone(), x.double()
    size = len(codebook)
    pairs = max(1, int(_SHARE * size)) if size > 1 else 0
    for step in range(rounds + 1):
        indices = nearest_codes(x, codebook)
        counts = torch.bincount(indices, minlength=size)
        sums = torch.zeros(codebook.shape, dtype=torch.float64, device=codebook.device)
        sums.index_add_(0, indices, vectors)
        means = sums / counts.clamp(min=1).unsqueeze(1)
        codebook = torch.where((counts > 0).unsqueeze(1), means.to(codebook.dtype), codebook)
        if step == rounds:
            break
        order = counts.argsort(stable=True).tolist()
        for light, heavy in zip(order[:pairs], order[::-1][:pairs], strict=True):
            if counts[heavy] <= 2 * counts[light]:
                break
            halves = _cut(vectors[indices == heavy], means[heavy])
            if halves is not None:
                codebook[heavy], codebook[light] = (half.to(codebook.dtype) for half in halves)
    return codebook


def _cut(members: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The means of a cluster's two halves; None if all its vectors are equal."""
    centred = members - mean
    axis = torch.linalg.eigh(centred.T @ centred)[1][:, -1]
    side = centred @ axis > 0
    if bool(side.all()) or not bool(side.any()):
        return None
    return members[side].mean(0), members[~side].mean(0)
