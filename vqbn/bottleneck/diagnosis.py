"""What a codebook does: which codewords are used, and how their size compares with that of the encoder's outputs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from vqbn.bottleneck.alarm import SHARE
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.metrics import perplexity
from vqbn.bottleneck.quantizer import VQBottleneck

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Codewords so many times longer than the vectors that look for them leave most of the codebook out of reach.
TOO_LONG = 2.0
# With fewer codes per codeword, one that was not seen may only be rare.
ENOUGH = 5
# Vectors and codewords of the picture: more would only hide each other.
_DRAWN = 2000


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `diagnose` found; `print` it, or `save` its picture. C codebooks, K codewords each.

    Attributes:
        updates: done so far.
        clusterings: done so far.
        quantizing: whether codewords are used yet: not before the first clustering.
        codeword_norms: (C, K), Euclidean.
        counts: int64 (C, K), how often each codeword was the nearest; None if nothing was counted.
        counted: what `counts` is of, in words.
        encoder_norms: (n, C), of the vectors that are compared with the codewords; (1, C) holds a mean only; None if
            none are known.
        measured: what `encoder_norms` is of, in words.
        error: (C,), mean squared distance to the nearest codeword, as a share of the vectors' variance; or None.
        advice: what to try if few codewords are used.
        plane: for the picture: vectors (n, 2) and codewords (K, 2) of the first codebook, in the plane of the vectors'
            two principal components; or None.
    """

    updates: int
    clusterings: int
    quantizing: bool
    codeword_norms: torch.Tensor
    counts: torch.Tensor | None
    counted: str
    encoder_norms: torch.Tensor | None
    measured: str
    error: torch.Tensor | None
    advice: str
    plane: tuple[torch.Tensor, torch.Tensor] | None = field(default=None, repr=False)

    @property
    def perplexity(self) -> torch.Tensor | None:
        """Perplexity of the counted codes, float64 (C,)."""
        return None if self.counts is None else perplexity(self.counts)

    @property
    def dead(self) -> list[torch.Tensor] | None:
        """Of each codebook, the codewords that were never the nearest: int64 (m,)."""
        return None if self.counts is None else [(row == 0).nonzero()[:, 0] for row in self.counts]

    @property
    def relative_scale(self) -> torch.Tensor | None:
        """Mean norm of the codewords over that of the encoder's outputs, (C,): the paper's Figure 1a is over it."""
        return None if self.encoder_norms is None else self.codeword_norms.mean(1) / self.encoder_norms.mean(0)

    def findings(self) -> list[str]:
        """What is wrong, or can't be told, a sentence each, and last what to try; empty if nothing is."""
        size = self.codeword_norms.shape[1]
        unknown, wrong = [], []
        if not self.quantizing:
            unknown.append("Nothing is quantised yet: the first clustering is still to come.")
        if self.counts is None:
            unknown.append("No codes were counted: train on, or give diagnose() the encoder's outputs.")
        elif self.counts[0].sum() < ENOUGH * size:
            unknown.append(
                f"Only {int(self.counts[0].sum())} codes were counted for {size} codewords: the dead may only be rare."
            )
        if self.encoder_norms is None:
            unknown.append("The encoder's outputs are not known: give them to diagnose().")
        elif bool((self.relative_scale > TOO_LONG).any()):
            wrong.append(
                f"The codewords are {self.relative_scale.max():.2g} times as long as the encoder's outputs: the few "
                "that are nearest to the origin win them all (the paper's Figure 1c)."
            )
        if self.counts is not None and bool((self.perplexity < SHARE * size).any()):
            wrong.append(
                f"The codebook has collapsed: its perplexity, {self.perplexity.min():.1f}, is under {SHARE:.0%} of its "
                f"{size} codewords."
            )
        elif self.counts is not None and max(len(dead) for dead in self.dead) > size / 2:
            wrong.append("More than half of the codewords are dead.")
        return unknown + wrong + ([self.advice] if wrong else [])

    def __str__(self) -> str:
        num_codebooks, size = self.codeword_norms.shape
        several = f"{num_codebooks} codebooks of " if num_codebooks > 1 else ""
        lines = [f"{several}{size} codewords; {self.updates} updates, {self.clusterings} clusterings"]
        for c in range(num_codebooks):
            if num_codebooks > 1:
                lines.append(f"codebook {c}")
            lines += [f"  {name:20}{text}" for name, text in self._rows(c)]
        if self.counts is not None:
            lines.append(f"codes: {self.counted}")
        if self.encoder_norms is not None:
            lines.append(f"encoder outputs: {self.measured}")
        return "\n".join([*lines, *(f"! {finding}" for finding in self.findings())])

    def _rows(self, c: int) -> list[tuple[str, str]]:
        """Names and values that describe codebook `c`."""
        norms, size = self.codeword_norms[c], self.codeword_norms.shape[1]
        rows = []
        if self.counts is not None:
            counts, dead = self.counts[c], self.dead[c]
            rows += [
                ("used", f"{size - len(dead)} of {size}; {len(dead)} dead"),
                ("perplexity", f"{self.perplexity[c]:.1f} ({self.perplexity[c] / size:.0%} of {size})"),
                ("most frequent code", f"{counts.max() / counts.sum():.2%} of {int(counts.sum())}"),
            ]
        if self.error is not None:
            rows.append(("error", f"{self.error[c]:.1%} of the variance of the encoder's outputs"))
        rows.append(("codeword norm", _spread(norms)))
        if self.counts is not None and 0 < len(self.dead[c]) < size:
            rows.append(("  of dead codewords", _spread(norms[self.dead[c]])))
        if self.encoder_norms is not None:
            rows.append(("encoder norm", _spread(self.encoder_norms[:, c])))
            rows.append(("relative scale", f"{self.relative_scale[c]:.3g} (codewords / encoder)"))
        return rows

    def figure(self) -> "Figure":
        """The same as a picture; needs matplotlib."""
        from vqbn.bottleneck.diagnosis_figure import draw

        return draw(self.counts, self.codeword_norms, self.encoder_norms, self.plane)

    def save(self, path: str) -> None:
        """Write the picture, in the format that the path's ending names; needs matplotlib."""
        self.figure().savefig(path, dpi=150)


@torch.no_grad()
def diagnose(
    bottleneck: VQBottleneck,
    x: torch.Tensor | None = None,
    lengths: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> Diagnosis:
    """Look at a codebook: norms, usage, dead codes, scale relative to the encoder's outputs (section III-A, Figure 1).

    With vectors, everything is of them, as in evaluation. Without, the codes counted since the last clustering in
    training are looked at (up to the last 100 updates), and the reservoir, or the last training forward, in place of
    the encoder's outputs. The bottleneck isn't changed.

    Args:
        bottleneck: in training or evaluation.
        x: the encoder's outputs, as the bottleneck takes them: several thousand vectors of data that weren't trained on
            tell most.
        lengths, mask: as the bottleneck takes them, with `x`.

    Returns:
        A `Diagnosis`.

    Raises:
        TypeError: `bottleneck` isn't a `VQBottleneck`.
        ValueError: `x` holds no real, finite vector; or as the bottleneck.
    """
    if not isinstance(bottleneck, VQBottleneck):
        raise TypeError(f"diagnose looks at a VQBottleneck, not at a {type(bottleneck).__name__}")
    learner = bottleneck.learner
    codebook = bottleneck.codebook.detach().float()
    vectors = counts = error = plane = None
    counted = measured = ""
    if x is not None:
        vectors = bottleneck.latents(x, lengths, mask).float()
        vectors = vectors[vectors.isfinite().flatten(1).all(1)]
        if len(vectors) == 0:
            raise ValueError("there is no real, finite vector to look at")
        measured = f"the {len(vectors)} given vectors"
    elif learner.reservoir is not None and len(learner.reservoir) > 0:
        vectors = learner.reservoir.sample().to(codebook.device).view(-1, *codebook.shape[::2])
        measured = f"{len(vectors)} vectors since the last clustering (the reservoir)"
    if x is None:
        parts = [part.cpu() for part in (learner.alarm.last_counts, learner.alarm.counts) if part is not None]
        counts = sum(parts) if parts else None
        counted = "the last training updates with this codebook"
    if vectors is not None:
        indices = nearest_codes(vectors, codebook)
        if x is not None and bottleneck.quantizing:
            counts = torch.stack([column.bincount(minlength=bottleneck.codebook_size) for column in indices.T]).cpu()
            counted = measured
        chosen = torch.stack([words[column] for words, column in zip(codebook, indices.T, strict=True)], 1)
        variance = (vectors - vectors.mean(0)).square().sum(2).mean(0)
        error = ((vectors - chosen).square().sum(2).mean(0) / variance).cpu()
        plane = _plane(vectors[:, 0], codebook[0])
        norms = vectors.norm(dim=2).cpu()
    else:
        norms = None
        if bottleneck.encoder_norm is not None:
            norms = torch.full((1, bottleneck.num_codebooks), bottleneck.encoder_norm)
            measured = "those of the last training forward, their mean over codebooks"
    return Diagnosis(
        updates=bottleneck.updates,
        clusterings=len(bottleneck.reestimations),
        quantizing=bottleneck.quantizing,
        codeword_norms=codebook.norm(dim=2).cpu(),
        counts=counts,
        counted=counted,
        encoder_norms=norms,
        measured=measured,
        error=error,
        advice=learner.advice,
        plane=plane,
    )


def _plane(vectors: torch.Tensor, codewords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Vectors (n, D) and codewords (K, D) seen in the plane of the vectors' two largest variances; None below 2-D."""
    if vectors.shape[1] < 2 or len(vectors) < 3:
        return None
    mean = vectors.mean(0)
    centred = (vectors - mean).double()
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:].flip(1)
    some = centred[:: -(-len(centred) // _DRAWN)]
    return (some @ axes).float().cpu(), ((codewords - mean).double() @ axes).float().cpu()


def _spread(values: torch.Tensor) -> str:
    """The mean, and where 90 % of the values lie."""
    if len(values) < 2:
        return f"{values.mean():.3g}"
    low, high = torch.quantile(values[:: -(-len(values) // 100_000)], torch.tensor([0.05, 0.95]))
    return f"{values.mean():.3g} on average, 90 % from {low:.3g} to {high:.3g}"
