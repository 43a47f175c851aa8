"""Optimiser parameter groups with the codebooks apart."""

from typing import Any

from torch import nn

from vqbn.bottleneck.quantizer import VQBottleneck


def parameter_groups(
    model: nn.Module,
    learning_rate: float,
    codebook_learning_rate: float | None = None,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Split a model's parameters so that the codebooks get a learning rate of their own (section III-C).

    Codebooks are never decayed: a codeword that isn't used would shrink towards zero. Codebooks that follow the
    exponential moving average are no parameters and don't appear.

    Args:
        model: any module; its `VQBottleneck`s are found wherever they are.
        learning_rate: of all other parameters.
        codebook_learning_rate: of the codebooks; `learning_rate` by default.
        weight_decay: of all other parameters.

    Returns:
        Groups for any optimiser: "model", and "codebooks" if there are any (key `name`).

    Raises:
        ValueError: a learning rate or the weight decay is negative.
    """
    if codebook_learning_rate is None:
        codebook_learning_rate = learning_rate
    for name, value in (
        ("learning_rate", learning_rate),
        ("codebook_learning_rate", codebook_learning_rate),
        ("weight_decay", weight_decay),
    ):
        if not value >= 0:
            raise ValueError(f"{name} must not be negative; got {value}")
    bottlenecks = [module for module in model.modules() if isinstance(module, VQBottleneck)]
    codebooks = list({id(b.codebook): b.codebook for b in bottlenecks if isinstance(b.codebook, nn.Parameter)}.values())
    apart = {id(codebook) for codebook in codebooks}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    groups = [{"name": "model", "params": rest, "lr": learning_rate, "weight_decay": weight_decay}] if rest else []
    if codebooks:
        groups.append({"name": "codebooks", "params": codebooks, "lr": codebook_learning_rate, "weight_decay": 0.0})
    return groups
