"""Polyak averaging of the weights (Polyak and Juditsky, 1992) as an exponential moving average."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn

from vqbn.nets.peers import PeerBottleneck


class PolyakAveraging(WeightAveraging):
    """Lightning's weight averaging for a model with a bottleneck.

    Encoder, normalisation statistics and head are averaged after every update. A codebook is not: the mean of
    codewords from before and after a clustering means nothing, so the averaged copy takes over the bottleneck's
    codebook and moving averages as they are; its clock and reservoir are those of the bottleneck too, once that
    follows its optimiser (`VQBottleneck.follow` with `averaged`).

    The module has a `model` with a `bottleneck`.

    Args:
        decay: weight of the old average at each update, 0 to below 1 (the authors': 0.998).
    """

    def __init__(self, decay: float):
        super().__init__(multi_avg_fn=average_into(decay))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            # Lightning makes the copy before it moves the module to the accelerator, and leaves it behind.
            self._average_model.to(trainer.strategy.root_device)

    @property
    def model(self) -> nn.Module:
        """The averaged model."""
        return self._average_model.module.model

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        take_over(self.model.bottleneck, pl_module.model.bottleneck)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing: the last update is averaged already."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        # The reservoir is the largest part of a checkpoint; under both names it is one tensor, written once.
        live = checkpoint.get("current_model_state", {})
        for name in checkpoint["state_dict"]:
            if name.endswith("_extra_state") and name in live:
                checkpoint["state_dict"][name] = live[name]


@torch.no_grad()
def take_over(copy: nn.Module, bottleneck: nn.Module) -> None:
    """Give an averaged copy of a bottleneck the codebook and its moving averages as they are."""
    if isinstance(bottleneck, PeerBottleneck):
        # What a peer keeps beside parameters are codewords, their moving averages and switches.
        for mine, theirs in zip(copy.layer.buffers(), bottleneck.layer.buffers(), strict=True):
            mine.copy_(theirs)
        return
    for name in ("codebook", "has_codewords", "ema_counts", "ema_sums"):
        value = getattr(bottleneck, name, None)
        if value is not None:
            getattr(copy, name).copy_(value)


def average_into(decay: float):
    """A function of (averaged, current, count) that moves the averages of floating-point tensors, and copies others."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], _) -> None:
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:
            torch._foreach_copy_(averaged, current)

    return update
