"""The phone recogniser: encoder, bottleneck and head."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vqbn.kaldi.deltas import CHANNELS
from vqbn.nets.deepspeech2 import DeepSpeech2Encoder, all_whole, speech_convolutions
from vqbn.nets.latent_mixer import LatentMixer
from vqbn.runs.build import build_bottleneck


class RecognizerOutput(NamedTuple):
    """What a forward gives; times are in latents.

    Attributes:
        log_probs: (batch, time, tokens), natural logarithms of the token posteriors; blank is token 0.
        lengths: (batch,) int64 valid latents, or None where no lengths were given.
        indices: (batch, time, num_codebooks) int64 code indices, −1 before the first clustering; None for a linear
            bottleneck.
        loss: scalar, the bottleneck's loss, to be added to the task's.
    """

    log_probs: Tensor
    lengths: Tensor | None
    indices: Tensor | None
    loss: Tensor


class Recognizer(nn.Module):
    """Phone posteriors from features through a bottleneck (section IV-A of the paper).

    Args:
        encoder: features and lengths to latents.
        bottleneck: `VQBottleneck`, `LinearBottleneck` or a module that behaves as they do.
        code_dim: dimension of the bottleneck's output.
        num_tokens: tokens, the blank included.
        latent_mixer: put the authors' `LatentMixer` before the head.
    """

    def __init__(
        self,
        encoder: DeepSpeech2Encoder,
        bottleneck: nn.Module,
        code_dim: int,
        num_tokens: int,
        latent_mixer: bool = False,
    ):
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.mixer = LatentMixer(code_dim) if latent_mixer else None
        self.head = nn.Linear(self.mixer.output_dim if self.mixer else code_dim, num_tokens)
        self.subsampling = encoder.subsampling

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> RecognizerOutput:
        """Recognise a padded batch.

        Args:
            features: (batch, time, height, channels) float, normalised.
            lengths: (batch,) int64 valid frames; None: all are valid and nothing is packed.

        Returns:
            A `RecognizerOutput`; latent t covers the frames from subsampling·t on.
        """
        if lengths is not None and all_whole(lengths, features.shape[1]):
            # Seen once, so that no part need keep anything out.
            lengths, padded = self.encoder.output_lengths(lengths), None
            encoded, _ = self.encoder(features)
        else:
            encoded, lengths = self.encoder(features, lengths)
            padded = lengths
        codes = self.bottleneck(encoded, lengths=padded)
        x = codes.quantized
        if self.mixer is not None:
            x = self.mixer(x, padded)
        return RecognizerOutput(self.head(x).log_softmax(-1), lengths, codes.indices, codes.loss)


def build_recognizer(config: Mapping[str, object], num_tokens: int, height: int) -> Recognizer:
    """A recogniser with fresh weights, the same for the same `seed`.

    Args:
        config: as `parse_arguments` gives it.
        num_tokens: tokens, the blank included.
        height: features per frame and channel.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        encoder = DeepSpeech2Encoder(
            height=height,
            channels=CHANNELS,
            convolutions=speech_convolutions(config["conv_channels"]),
            lstm_layers=config["lstm_layers"],
            lstm_size=config["lstm_size"],
        )
        bottleneck = build_bottleneck(config, encoder.output_dim)
        return Recognizer(encoder, bottleneck, config["vq_code_dim"], num_tokens, config["latent_mixer"])
