"""The picture of a diagnosis: use of the codes, norms, and where codewords lie among the encoder's outputs."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

Plane = tuple[Tensor, Tensor]  # vectors and codewords of the first codebook

# Okabe and Ito's colours, which colour-blind readers tell apart.
ENCODER, USED, DEAD = "#56B4E9", "#000000", "#D55E00"


def draw(counts: Tensor | None, codeword_norms: Tensor, encoder_norms: Tensor | None, plane: Plane | None) -> Figure:
    """Three panels; one says so where it has nothing to show. Arguments as the attributes of a `Diagnosis`."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_usage(left, counts)
    _draw_norms(middle, counts, codeword_norms, encoder_norms)
    _draw_plane(right, counts, plane)
    return figure


def _draw_usage(axes: Axes, counts: Tensor | None) -> None:
    """How often each codeword is used, most frequent first, against all equally often."""
    axes.set_title("Use of the codewords, sorted")
    if counts is None:
        return _say(axes, "no codes counted")
    size = counts.shape[1]
    rank = torch.arange(1, size + 1)
    for c, row in enumerate(counts):
        shares = (row / row.sum()).sort(descending=True).values
        # Zeros have no place on a logarithmic axis: the curve ends where the dead codewords begin.
        seen = shares > 0
        # Of a single codeword there is no line.
        marker = "o" if int(seen.sum()) < 10 else ""
        axes.plot(rank[seen], shares[seen], marker=marker, color=USED, alpha=0.3 + 0.7 / (1 + c), label=f"codebook {c}")
    axes.axhline(1 / size, color="0.6", linestyle="--", linewidth=1)
    axes.text(size, 1 / size, "all equally ", ha="right", va="bottom", color="0.4", fontsize=8)
    axes.set(yscale="log", xlim=(0, size * 1.02), xlabel="codeword", ylabel="share of the codes")
    if 1 < len(counts) <= 8:
        axes.legend(fontsize=8)


def _draw_norms(axes: Axes, counts: Tensor | None, codeword_norms: Tensor, encoder_norms: Tensor | None) -> None:
    """How the norms of codewords, used and dead, and of the encoder's outputs are distributed."""
    axes.set_title("Norms")
    groups = {}
    if encoder_norms is not None and len(encoder_norms) > 1:
        groups["encoder outputs"] = (encoder_norms.flatten(), ENCODER)
    if counts is None:
        groups["codewords"] = (codeword_norms.flatten(), USED)
    else:
        groups["used codewords"] = (codeword_norms[counts > 0], USED)
        groups["dead codewords"] = (codeword_norms[counts == 0], DEAD)
    groups = {name: group for name, group in groups.items() if len(group[0])}
    largest = max(values.max().item() for values, _ in groups.values()) or 1.0
    for name, (values, colour) in groups.items():
        height, edges = torch.histogram(values.cpu(), 40, range=(0.0, largest))
        axes.stairs(height / len(values), edges, color=colour, fill=colour == ENCODER, label=name)
    if encoder_norms is not None and len(encoder_norms) == 1:
        axes.axvline(encoder_norms.mean(), color=ENCODER, label="encoder outputs, mean")
    axes.set(xlabel="Euclidean norm", ylabel="share")
    axes.legend(fontsize=8)


def _draw_plane(axes: Axes, counts: Tensor | None, plane: Plane | None) -> None:
    """Encoder outputs and codewords in the plane in which the outputs vary most (compare the paper's Figure 1b, 1c)."""
    axes.set_title("Where the codewords lie")
    if plane is None:
        return _say(axes, "no encoder outputs known")
    vectors, codewords = plane
    axes.scatter(*vectors.T, s=4, color=ENCODER, label="encoder outputs")
    used = torch.ones(len(codewords), dtype=torch.bool) if counts is None else counts[0] > 0
    axes.scatter(*codewords[used].T, s=6, color=USED, label="codewords" if counts is None else "used")
    if not bool(used.all()):
        axes.scatter(*codewords[~used].T, s=12, color=DEAD, marker="x", linewidth=0.8, label="dead")
    axes.set(xlabel="first principal component", ylabel="second")
    axes.set_aspect("equal", "datalim")
    axes.legend(fontsize=8)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set(xticks=[], yticks=[])
