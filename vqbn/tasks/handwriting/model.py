"""The autoencoder of handwriting: encoder, bottleneck, mixer, conditional PixelCNN (section IV-B of the paper)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqbn.nets.deepspeech2 import valid_frames
from vqbn.nets.latent_mixer import LatentMixer
from vqbn.nets.pixelcnn import PixelCNN
from vqbn.runs.build import build_bottleneck
from vqbn.tasks.handwriting.encoder import HandwritingEncoder


class LineOutput(NamedTuple):
    """What a forward gives; times are in latents.

    Attributes:
        nats: (batch, columns, height), −ln p(pixel | earlier pixels, codes) of each pixel; zeros in padded columns.
        lengths: (batch,) int64 valid latents, or None where no lengths were given.
        indices: (batch, time, num_codebooks) int64 code indices, −1 before the first clustering; None for a linear
            bottleneck.
        loss: scalar, the bottleneck's loss, to be added to the reconstruction's.
    """

    nats: Tensor
    lengths: Tensor | None
    indices: Tensor | None
    loss: Tensor


class LineAutoencoder(nn.Module):
    """Lines of grey levels through codes and back.

    The encoder sees the same grey levels as the likelihood is of; in the authors' code it sees the scan before its
    levels are rounded.

    Args:
        encoder: ink to latents, one for every `subsampling` columns.
        bottleneck: `VQBottleneck`, `LinearBottleneck` or a module that behaves as they do.
        decoder: its `condition_dim` is the mixer's `output_dim`.
        mixer: of neighbouring latents.
    """

    def __init__(
        self,
        encoder: HandwritingEncoder,
        bottleneck: nn.Module,
        mixer: LatentMixer,
        decoder: PixelCNN,
    ):
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.mixer = mixer
        self.decoder = decoder
        self.subsampling = encoder.subsampling

    def forward(self, pixels: Tensor, lengths: Tensor | None = None) -> LineOutput:
        """Encode, quantise, and score every pixel.

        Args:
            pixels: (batch, columns, height) integer grey levels; what stands in padded columns does not matter.
            lengths: (batch,) int64 valid columns; None: all are.
        """
        encoded, latents = self.encoder(self.decoder.ink(pixels), lengths)
        codes = self.bottleneck(encoded, lengths=latents)
        logits = self.decoder(pixels, self.mixer(codes.quantized, latents))
        nats = F.cross_entropy(logits.float().permute(0, 3, 1, 2), pixels.long(), reduction="none")
        if lengths is not None:
            nats = nats * valid_frames(lengths, pixels.shape[1])[..., None]
        return LineOutput(nats, latents, codes.indices, codes.loss)

    def condition(self, indices: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the decoder draws from: the mixed codewords of code indices (batch, time, num_codebooks).

        Args:
            indices: int64; those after a line's end may be anything of the codebook.
            lengths: (batch,) int64 valid latents; None: all are.
        """
        quantized = self.bottleneck.decode_indices(indices)
        if lengths is not None:
            quantized = quantized.masked_fill(~valid_frames(lengths, quantized.shape[1])[..., None], 0.0)
        return self.mixer(quantized, lengths)


def build_line_autoencoder(config: Mapping[str, object], height: int, levels: int) -> LineAutoencoder:
    """An autoencoder with fresh weights, the same for the same `seed`.

    Args:
        config: as `parse_arguments` gives it.
        height: rows of a line.
        levels: grey levels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        encoder = HandwritingEncoder(height, config["conv_channels"], config["lstm_size"])
        bottleneck = build_bottleneck(config, encoder.output_dim)
        mixer = LatentMixer(config["vq_code_dim"], config["mixer_size"])
        decoder = PixelCNN(
            height,
            levels,
            condition_dim=config["mixer_size"],
            channels=config["pixelcnn_channels"],
            layers=config["pixelcnn_layers"],
            repeat=encoder.subsampling,
        )
        return LineAutoencoder(encoder, bottleneck, mixer, decoder)
