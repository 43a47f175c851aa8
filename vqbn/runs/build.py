"""From a configuration to a model."""

from collections.abc import Mapping

import torch

from vqbn import LinearBottleneck, ReestimationSchedule, VQBottleneck
from vqbn.kaldi.speech import CHANNELS
from vqbn.nets.deepspeech2 import DeepSpeech2Encoder, speech_convolutions
from vqbn.nets.peers import make_peer
from vqbn.tasks.images.model import ImageAutoencoder
from vqbn.tasks.recognition.model import Recognizer


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


def build_autoencoder(config: Mapping[str, object]) -> ImageAutoencoder:
    """An autoencoder of images with fresh weights, the same for the same `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        bottleneck = build_bottleneck(config, config["vq_code_dim"], projection=False)
        return ImageAutoencoder(bottleneck, config["channels"], config["residual_blocks"], config["residual_channels"])


def build_bottleneck(config: Mapping[str, object], input_dim: int, projection: bool = True) -> torch.nn.Module:
    """The bottleneck that a configuration names.

    Args:
        config: with the keys of `keys.BOTTLENECK`, and `bottleneck` where it may be linear.
        input_dim: dimension of the latents.
        projection: whether a linear layer precedes the lookup.
    """
    if config.get("bottleneck") == "linear":
        return LinearBottleneck(input_dim, config["vq_code_dim"])
    if config.get("bottleneck") == "peer":
        return make_peer(
            config["peer"],
            input_dim,
            config["vq_code_dim"],
            config["vq_codebook_size"],
            decay=config["vq_ema_decay"],
            commitment=config["vq_commitment"],
            dead_threshold=config["peer_dead_threshold"],
            normalization=config["vq_normalization"],
        )
    schedule = None
    if config["reestimation"]:
        schedule = ReestimationSchedule(
            start=config["reestimation_start"],
            until=config["reestimation_until"],
            every=config["reestimation_every"],
            growth=config["reestimation_growth"],
        )
    return VQBottleneck(
        input_dim,
        config["vq_code_dim"],
        config["vq_codebook_size"],
        num_codebooks=config["vq_num_codebooks"],
        projection=projection,
        normalization=config["vq_normalization"],
        update=config["vq_update"],
        ema_decay=config["vq_ema_decay"],
        commitment=config["vq_commitment"],
        codebook_weight=config["vq_codebook_weight"],
        codebook_init=config["vq_codebook_init"],
        reestimation=schedule,
        reservoir_size=config["vq_reservoir_size"] or None,
        seeding=config["vq_seeding"],
        seed=config["seed"],
        verbose=True,
        balance=config["vq_balance"],
    )
