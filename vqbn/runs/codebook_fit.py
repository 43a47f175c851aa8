"""A codebook for vectors that don't change any more, and how well it does on vectors that it has not seen."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqbn import Reservoir, kmeans, perplexity
from vqbn.bottleneck.kmeans import kmeans_inertia
from vqbn.errors import InputError

Items = Iterable[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Sample:
    """Vectors drawn uniformly from all finite ones that there are.

    Attributes:
        vectors: float32 (n, D).
        seen: how many there were to draw from.
        items: how many utterances, or other items, they were of.
        not_finite: how many more had a value that isn't finite.
    """

    vectors: Tensor
    seen: int
    items: int
    not_finite: int


class _Sampler:
    """Takes items and keeps a `Sample` of their vectors."""

    def __init__(self, capacity: int, seed: int):
        self.capacity = capacity
        self.generator = torch.Generator().manual_seed(seed)
        self.reservoir: Reservoir | None = None
        self.items = self.total = 0

    def add(self, vectors: np.ndarray) -> None:
        # A copy: an array mapped into memory can't be written to, which torch would complain about.
        x = torch.from_numpy(np.array(vectors, dtype=np.float32))
        if self.reservoir is None:
            self.reservoir = Reservoir(self.capacity, x.shape[1], self.generator)
        self.reservoir.add(x)
        self.items += 1
        self.total += len(x)

    def sample(self) -> Sample:
        if self.reservoir is None:
            return Sample(torch.empty(0, 0), 0, 0, 0)
        seen = self.reservoir.count
        return Sample(self.reservoir.sample(), seen, self.items, self.total - seen)


def draw_samples(
    items: Items, capacity: int, share: float = 0.1, held_out: Items | None = None, seed: int = 0
) -> tuple[Sample, Sample]:
    """Draw vectors to fit a codebook to, and others to score it on.

    Args:
        items: names and vectors (frames, D).
        capacity: of each sample.
        share: of the items that are held out, evenly spaced in their order; not used with `held_out`.
        held_out: the items to score on, if they are others.
        seed: of the draw.

    Returns:
        The sample to fit to and the one to score on.

    Raises:
        InputError: there are no finite vectors in one of them, or they differ in dimension.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, not {share}")
    fit, rest = _Sampler(capacity, seed), _Sampler(capacity, seed + 1)
    for number, (_, vectors) in enumerate(items, 1):
        last = held_out is None and int(number * share) > int((number - 1) * share)
        (rest if last else fit).add(vectors)
    for _, vectors in held_out or ():
        rest.add(vectors)
    found = fit.sample(), rest.sample()
    if len(found[0].vectors) == 0:
        raise InputError(
            f"no vectors to fit a codebook to: {fit.items} items with {fit.total} vectors, none of them finite"
        )
    if len(found[1].vectors) == 0:
        raise InputError(
            f"no vectors are held out: {fit.items} items are too few to keep {share:.0%} of them apart; "
            "give --held_out_data, or a larger --held_out"
        )
    if found[0].vectors.shape[1] != found[1].vectors.shape[1]:
        raise InputError(
            f"--held_out_data: vectors of {found[1].vectors.shape[1]} dimensions; expected {found[0].vectors.shape[1]}"
        )
    return found


def fit_codebook(
    vectors: Tensor,
    codebook_size: int,
    num_codebooks: int = 1,
    init: str = "k-means||",
    iterations: int = 20,
    seed: int = 0,
) -> Tensor:
    """Cluster vectors, or as many parts of each as there are codebooks.

    Args:
        vectors: float (N, D).
        codebook_size: K.
        num_codebooks: C, a divisor of D.
        init: as `kmeans` takes it.
        iterations: at most so many.
        seed: of the seeding.

    Returns:
        Codewords, float32 (C, K, D / C), as `VQBottleneck.from_codebook` takes them.

    Raises:
        InputError: there are fewer vectors than codewords, or D can't be cut into so many parts.
    """
    if vectors.shape[1] % num_codebooks:
        raise InputError(
            f"--num_codebooks: found {num_codebooks}, expected a divisor of the {vectors.shape[1]} dimensions"
        )
    if len(vectors) < codebook_size:
        raise InputError(
            f"--codebook_size: found {codebook_size}, but there are only {len(vectors)} vectors to fit it to; "
            "give a smaller one, more data or more --vectors"
        )
    codebooks = []
    for c, part in enumerate(vectors.chunk(num_codebooks, dim=1)):
        entropy = np.random.SeedSequence([seed, c]).generate_state(1)
        generator = torch.Generator().manual_seed(int(entropy[0]))
        codebooks.append(kmeans(part, codebook_size, init=init, iterations=iterations, generator=generator).float())
    return torch.stack(codebooks)


def score_codebook(codebooks: Tensor, vectors: Tensor) -> tuple[dict[str, float | int], Tensor]:
    """How well codewords stand for vectors.

    Args:
        codebooks: (C, K, D / C).
        vectors: float (N, D).

    Returns:
        `error`, the mean squared distance per vector; `error_share`, this over the vectors' variance; `perplexity`,
        averaged over codebooks; `used_codes`, over all codebooks; `vectors`, N. And how often each codeword is the
        nearest, int64 (C, K).
    """
    error, counts = 0.0, []
    for part, codebook in zip(vectors.chunk(len(codebooks), dim=1), codebooks, strict=True):
        inertia, nearest = kmeans_inertia(part, codebook)
        error += inertia / len(vectors)
        counts.append(nearest.long())
    counts = torch.stack(counts)
    variance = (vectors.double() - vectors.double().mean(0)).square().sum(1).mean().item()
    scores = {
        "error": error,
        "error_share": error / variance if variance else 0.0,
        "perplexity": perplexity(counts).mean().item(),
        "used_codes": int((counts > 0).sum()),
        "vectors": len(vectors),
    }
    return scores, counts
