"""Lines, their codes and what the decoder makes of them, as pictures (the paper's Figure 3)."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vqbn.files import replacing
from vqbn.nets.pixelcnn_sampling import draw
from vqbn.tasks.handwriting.model import LineAutoencoder

# Samples of a line that are averaged: what all have in common is what the codes settle.
SAMPLES = 16


@torch.no_grad()
def reconstruct(model: LineAutoencoder, pixels: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """A line through its codes and back.

    Args:
        model: in evaluation mode, on the CPU.
        pixels: uint8 (columns, height) grey levels.
        seed: of the samples.

    Returns:
        `original`, `sampled` and `most likely` (each pixel the most likely one given those drawn before it), uint8
        (columns, height); `mean`, float32, the mean of samples, the one shown among them; and `codes`, int32 (latents,
        num_codebooks), which is empty where nothing is quantised.
    """
    given = torch.from_numpy(np.array(pixels))[None]
    encoded, _ = model.encoder(model.decoder.ink(given))
    codes = model.bottleneck(encoded)
    condition = model.mixer(codes.quantized)
    generator = torch.Generator().manual_seed(seed)
    samples = draw(model.decoder, condition.expand(SAMPLES, -1, -1), len(pixels), generator=generator).pixels
    likely = draw(model.decoder, condition, len(pixels), temperature=0.0).pixels
    indices = np.empty((0, 1), np.int32) if codes.indices is None else codes.indices[0].numpy().astype(np.int32)
    return {
        "original": np.asarray(pixels),
        "sampled": samples[0].numpy(),
        "mean": samples.float().mean(0).numpy(),
        "most likely": likely[0].numpy(),
        "codes": indices if (indices >= 0).all() else indices[:0],
    }


def draw_reconstruction(
    parts: dict[str, np.ndarray], path: str | Path, levels: int, subsampling: int, title: str
) -> None:
    """Original, a sample, the mean of samples and the most likely line below each other; under them the codes.

    Args:
        parts: as `reconstruct` gives them.
        path: the PNG file.
        levels: grey levels.
        subsampling: columns per code.
        title: what it is a picture of.
    """
    images = {"original": "original", "sampled": "sampled", f"mean of {SAMPLES}": "mean", "most likely": "most likely"}
    columns = len(parts["original"])
    # Without pyplot: it needs no display and leaves no global state behind.
    figure = Figure(figsize=(max(5.0, columns / 42), 5.4), layout="constrained")
    panels = figure.subplots(len(images) + 1, 1, sharex=True, height_ratios=[1, 1, 1, 1, 0.9])
    figure.suptitle(title, fontsize=9)
    for axes, (label, name) in zip(panels, images.items(), strict=False):
        axes.imshow(parts[name].T, cmap="gray", vmin=0, vmax=levels - 1, aspect="auto", interpolation="nearest")
        axes.set_ylabel(label, fontsize=8)
        axes.set_yticks([])
    draw_codes(panels[-1], parts["codes"], subsampling, columns)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def draw_codes(axes: Axes, codes: np.ndarray, subsampling: int, columns: int) -> None:
    """The code indices under the columns that they stand for; equal codes have equal colours."""
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_ylabel("codes" if len(codes) else "no codes", fontsize=8)
    axes.set_xlabel("column", fontsize=8)
    axes.tick_params(labelsize=7)
    for position, code in enumerate(codes):
        # Golden-angle hues: near indices get far colours.
        hue = (int(code[0]) * 0.61803398875) % 1.0
        left = position * subsampling - 0.5
        width = min(subsampling, columns - 0.5 - left)
        axes.axvspan(left, left + width, color=hsv(hue), linewidth=0)
        text = ",".join(map(str, code))
        axes.text(left + width / 2, 0.5, text, rotation=90, ha="center", va="center", fontsize=4.5)


def hsv(hue: float) -> tuple[float, float, float]:
    """A pale colour of that hue, 0 to 1."""
    from matplotlib.colors import hsv_to_rgb

    return tuple(hsv_to_rgb((hue, 0.45, 1.0)))
