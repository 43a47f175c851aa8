"""Whether a decoder of handwriting reads its codes: bits per pixel with the codes in their place, and out of it.

Run as a program: for each run's folder, the bits per pixel of whole lines given their codes, and given the same codes
moved along by half the line. A decoder that looks at its earlier pixels alone loses nothing by that.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F

from vqbn.corpora.packed_lines import LineDataset
from vqbn.runs.checkpoint import load_run
from vqbn.tasks.handwriting.model import LineAutoencoder
from vqbn.tasks.handwriting.task import HANDWRITING


@torch.no_grad()
def compare(model: LineAutoencoder, dataset: LineDataset) -> tuple[float, float]:
    """Bits per pixel over a set, with the codes (or unquantised latents) in place and moved.

    Args:
        model: in evaluation mode, on the CPU.
        dataset: the set.
    """
    nats = np.zeros(2)
    for line in range(len(dataset)):
        pixels = torch.from_numpy(np.array(dataset.pixels(line)))[None]
        latents = model.bottleneck(model.encoder(model.decoder.ink(pixels))[0]).quantized
        for way, shift in enumerate((0, latents.shape[1] // 2)):
            logits = model.decoder(pixels, model.mixer(latents.roll(shift, dims=1)))
            nats[way] += F.cross_entropy(logits.permute(0, 3, 1, 2), pixels.long(), reduction="sum").item()
    return tuple(nats / (dataset.columns.sum() * dataset.height * math.log(2)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("expdirs", nargs="+", help="runs' folders, such as exp/bn_reest_lr_seed1")
    parser.add_argument("--dump", required=True, help="the folder of lines that stage 2 packed")
    parser.add_argument("--set", dest="set_name", default="dev", help="a folder of --dump (default: dev)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    dataset = LineDataset(args.dump, args.set_name)
    for expdir in args.expdirs:
        placed, moved = compare(load_run(HANDWRITING, expdir, "best").model, dataset)
        print(f"{expdir}: {placed:.4f} in place, {moved:.4f} moved, {moved - placed:+.4f}")
