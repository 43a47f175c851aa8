"""Images per second: the loader alone, and training with our bottleneck and with vector-quantize-pytorch's, in turns.

usage: python tests/benchmarks/image_training.py [--images DIR] [--device cuda] [--channels 256] [--batch_size 128] ...

The two layers quantise alike: 8 codebooks of 128 codewords of 32 dimensions, moving averages, batch normalisation in
front of ours only (--no_norm: in front of neither). Needs the extra `peers`. Prints medians over the rounds.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch import nn

from vqbn import VQBottleneck
from vqbn.bottleneck import BottleneckOutput
from vqbn.corpora.packed_images import read_packed
from vqbn.tasks.images.data import ImageBatches
from vqbn.tasks.images.model import ImageAutoencoder

CODEBOOKS, SIZE, DIM = 8, 128, 32


class Peer(nn.Module):
    """vector-quantize-pytorch's product quantisation behind our interface."""

    def __init__(self):
        super().__init__()
        from vector_quantize_pytorch import VectorQuantize

        self.input_dim = self.code_dim = CODEBOOKS * DIM
        self.layer = VectorQuantize(
            self.input_dim,
            codebook_size=SIZE,
            codebook_dim=DIM,
            heads=CODEBOOKS,
            separate_codebook_per_head=True,
            decay=0.99,
            commitment_weight=0.25,
        )

    def forward(self, x: torch.Tensor) -> BottleneckOutput:
        quantized, indices, loss = self.layer(x.reshape(1, -1, self.input_dim))
        return BottleneckOutput(
            quantized.view_as(x), indices.view(*x.shape[:-1], CODEBOOKS), loss.sum().to(torch.float32)
        )


def make(kind: str, args: argparse.Namespace) -> ImageAutoencoder:
    """A model with one of the layers."""
    torch.manual_seed(0)
    if kind == "peer":
        bottleneck = Peer()
    else:
        normalization = "none" if args.no_norm else "batch"
        dim = CODEBOOKS * DIM
        bottleneck = VQBottleneck(
            dim, dim, SIZE, CODEBOOKS, projection=False, normalization=normalization, update=args.update
        )
    model = ImageAutoencoder(bottleneck, args.channels, residual_channels=args.channels).to(args.device)
    return model.to(memory_format=torch.channels_last) if args.channels_last else model


def rate(
    model: ImageAutoencoder, optimizer: torch.optim.Optimizer, images: torch.Tensor, args: argparse.Namespace
) -> float:
    """Images per second over a few updates."""
    positions = torch.randperm(1024)[: args.pixels].to(args.device) if args.pixels else None
    synchronize(args)
    start = time.perf_counter()
    for _ in range(args.updates):
        with torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.bf16):
            output = model(images, positions)
            loss = output.nll.mean() + output.loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    synchronize(args)
    return args.updates * len(images) / (time.perf_counter() - start)


def synchronize(args: argparse.Namespace) -> None:
    """Wait until a GPU has done what it was told."""
    if torch.device(args.device).type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", help="packed images (stage 0); default: random ones")
    options.add_argument("--device", default="cpu")
    options.add_argument("--channels", type=int, default=48)
    options.add_argument("--batch_size", type=int, default=32)
    options.add_argument("--pixels", type=int, default=128, help="pixels per image that the loss is of; 0: all")
    options.add_argument("--updates", type=int, default=5, help="per round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--update", choices=("gradient", "ema"), default="ema", help="how our codewords learn")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--channels_last", action="store_true")
    options.add_argument("--bf16", action="store_true")
    options.add_argument("--no_norm", action="store_true")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    if args.images:
        images = read_packed(args.images, "train")
    batches = ImageBatches(images, args.batch_size)
    start, count = time.perf_counter(), max(50, 20000 // args.batch_size)
    for update in range(1, count + 1):
        batches.batch(update)
    print(f"loader alone: {count * args.batch_size / (time.perf_counter() - start):,.0f} images/s")
    batch = batches.batch(1).to(args.device)
    models = {kind: make(kind, args) for kind in ("vqbn", "peer")}
    optimizers = {kind: torch.optim.Adam(model.parameters(), fused=True) for kind, model in models.items()}
    rates: dict[str, list[float]] = {kind: [] for kind in models}
    for number in range(args.rounds + 1):
        # In turns, so that whatever else the machine does hits both alike; the first round warms up.
        for kind, model in models.items():
            found = rate(model, optimizers[kind], batch, args)
            if number:
                rates[kind].append(found)
    for kind, found in rates.items():
        print(f"{kind}: {statistics.median(found):,.1f} images/s ({min(found):,.1f} to {max(found):,.1f})")
    print(f"vqbn / peer: {statistics.median(rates['vqbn']) / statistics.median(rates['peer']):.2f}")


if __name__ == "__main__":
    main()
