"""From a configuration to a bottleneck."""

from collections.abc import Mapping

from torch import nn

from vqbn import LinearBottleneck, ReestimationSchedule, VQBottleneck
from vqbn.nets.peers import make_peer


def build_bottleneck(config: Mapping[str, object], input_dim: int, projection: bool = True) -> nn.Module:
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
