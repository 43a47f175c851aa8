"""The residual convolutional autoencoder of images (section IV-C of the paper, after van den Oord et al., 2017)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqbn import VQBottleneck
from vqbn.runs.build import build_bottleneck

LEVELS = 256
CHANNELS = 3
SUBSAMPLING = 4


class AutoencoderOutput(NamedTuple):
    """What a forward gives.

    Attributes:
        nll: negative log-likelihood in nats: (batch, CHANNELS, height, width), or (batch, CHANNELS, positions) where
            positions were given.
        indices: (batch, height / 4, width / 4, num_codebooks) int64; -1 before the first clustering.
        loss: scalar, the bottleneck's loss, to be added to the task's.
    """

    nll: Tensor
    indices: Tensor
    loss: Tensor


class ResidualBlock(nn.Module):
    """x + BN(1×1(ReLU(BN(3×3(ReLU(x))))))."""

    def __init__(self, channels: int, inner: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ImageAutoencoder(nn.Module):
    """Encoder, bottleneck on each position, and decoder to a distribution over 256 levels per pixel and channel.

    Two strided 4×4 convolutions make one latent of 4×4 pixels; residual blocks follow, and a 1×1 convolution to the
    bottleneck's dimension. The decoder mirrors this.

    Args:
        bottleneck: without a projection, as `VQBottleneck(code_dim, code_dim, ..., projection=False)`.
        channels: of every layer.
        residual_blocks: in the encoder, and in the decoder.
        residual_channels: between the two convolutions of a block.
    """

    def __init__(
        self, bottleneck: VQBottleneck, channels: int = 256, residual_blocks: int = 2, residual_channels: int = 256
    ):
        super().__init__()

        def blocks() -> list[nn.Module]:
            return [ResidualBlock(channels, residual_channels) for _ in range(residual_blocks)]

        self.encoder = nn.Sequential(
            nn.Conv2d(CHANNELS, channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            *blocks(),
            nn.Conv2d(channels, bottleneck.input_dim, 1),
        )
        self.bottleneck = bottleneck
        self.decoder = nn.Sequential(
            nn.Conv2d(bottleneck.code_dim, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            *blocks(),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.head = nn.Linear(channels, CHANNELS * LEVELS)

    def forward(self, images: Tensor, positions: Tensor | None = None) -> AutoencoderOutput:
        """The likelihood of images under their own reconstruction.

        Args:
            images: uint8 (batch, CHANNELS, height, width), height and width multiples of 4.
            positions: int64, of the height·width pixels, row by row, those that are scored; None: all of them.
        """
        codes = self.bottleneck(self.encode(images))
        return AutoencoderOutput(self.score(images, codes.quantized, positions), codes.indices, codes.loss)

    def encode(self, images: Tensor) -> Tensor:
        """The latents that enter the bottleneck: (batch, height / 4, width / 4, code_dim)."""
        return self.encoder(images.to(self.head.weight.dtype) / (LEVELS - 1) - 0.5).permute(0, 2, 3, 1)

    def code(self, images: Tensor) -> Tensor:
        """Code indices int64 (batch, height / 4, width / 4, num_codebooks)."""
        return self.bottleneck(self.encode(images)).indices

    def logits(self, quantized: Tensor, positions: Tensor | None = None) -> Tensor:
        """Unnormalised log-probabilities of the levels.

        Args:
            quantized: (batch, height / 4, width / 4, code_dim).
            positions: as in `forward`.

        Returns:
            (batch, positions, CHANNELS, LEVELS).
        """
        features = self.decoder(quantized.permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        if positions is not None:
            features = features[:, positions]
        return self.head(features).unflatten(2, (CHANNELS, LEVELS))

    def score(self, images: Tensor, quantized: Tensor, positions: Tensor | None = None) -> Tensor:
        """Negative log-likelihood of images given their codewords, as `AutoencoderOutput.nll`."""
        levels = images.flatten(2).transpose(1, 2)
        if positions is not None:
            levels = levels[:, positions]
        # In float32 under autocast too, as cross entropy always is there.
        logits = self.logits(quantized, positions)
        nll = F.cross_entropy(logits.flatten(0, 2), levels.flatten().long(), reduction="none")
        nll = nll.view(levels.shape).transpose(1, 2)
        return nll if positions is not None else nll.reshape(images.shape)

    @torch.no_grad()
    def reconstruct(self, quantized: Tensor, mode: bool = False) -> Tensor:
        """Images of codewords: the rounded mean of each distribution, or its most likely level.

        Args:
            quantized: (batch, height / 4, width / 4, code_dim).
            mode: take the most likely level.

        Returns:
            uint8 (batch, CHANNELS, height, width).
        """
        logits = self.logits(quantized).float()
        if mode:
            levels = logits.argmax(-1)
        else:
            levels = logits.softmax(-1) @ torch.arange(LEVELS, dtype=logits.dtype, device=logits.device)
        height, width = (SUBSAMPLING * size for size in quantized.shape[1:3])
        return levels.round().to(torch.uint8).transpose(1, 2).unflatten(2, (height, width))


def build_autoencoder(config: Mapping[str, object]) -> ImageAutoencoder:
    """An autoencoder of images with fresh weights, the same for the same `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        bottleneck = build_bottleneck(config, config["vq_code_dim"], projection=False)
        return ImageAutoencoder(bottleneck, config["channels"], config["residual_blocks"], config["residual_channels"])
