"""What the training of every model with a bottleneck has in common, as a Lightning module."""

import bisect
from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch import nn

from vqbn import VQBottleneck, parameter_groups
from vqbn.errors import InputError
from vqbn.runs.averaging import PolyakAveraging
from vqbn.runs.checkpoint import FORMAT, read_checkpoint
from vqbn.version import __version__

# Of a bottleneck's state, what says how far its training is: whether there are codewords goes with the clock.
CLOCKS = ("_extra_state", "has_codewords")


class BottleneckTraining(pl.LightningModule):
    """Adam with a step size of its own for the codebook, step sizes cut at milestones, and state that resumes exactly.

    A subclass sets `kind` and `losses`, and writes `training_step`, which returns a dict with each of `losses` as a
    scalar; "loss" is what is minimised. `describe` gives what the model is made again from, besides the configuration.

    Args:
        config: with the keys of `keys.OPTIMISATION`, and `codebook_rate_factor` where there is one.
        model: has a `bottleneck`.

    Attributes:
        kind: the name of the description in a checkpoint.
        losses: the scalars of a training step that are logged; "loss" is the first.
    """

    kind: str
    losses: tuple[str, ...] = ("loss",)

    def __init__(self, config: Mapping[str, object], model: nn.Module):
        super().__init__()
        self.config = dict(config)
        self.model = model

    @property
    def has_codebook(self) -> bool:
        """Whether the bottleneck quantises; a linear one does not."""
        return isinstance(self.model.bottleneck, VQBottleneck)

    def describe(self) -> dict[str, object]:
        """What the model is made again from, besides the configuration: plain values."""
        return {}

    def begin_with(self, path: str) -> None:
        """Take over the weights of a checkpoint: the averaged ones, where its run kept them.

        Codebook and buffers come along; the bottleneck's clock and reservoir, its extra state, stay at their start.

        Args:
            path: the configuration's `init_from`.

        Raises:
            InputError: the checkpoint is missing or damaged, or its model is another one than this.
        """
        checkpoint = read_checkpoint(path, self.kind)
        for name, value in self.describe().items():
            if checkpoint[self.kind].get(name) != value:
                raise InputError(f"init_from: {path}: its {name} are not this run's; give a model with the same {name}")
        state = {
            name.removeprefix("model."): value
            for name, value in checkpoint["state_dict"].items()
            if not name.endswith(CLOCKS)
        }
        try:
            missing, unexpected = self.model.load_state_dict(state, strict=False)
        except RuntimeError as error:
            misfit = " ".join(str(error).partition(":")[2].split())[:200]
            raise InputError(f"init_from: {path}: does not fit this configuration ({misfit})") from error
        misfits = [name for name in [*missing, *unexpected] if not name.endswith(CLOCKS)]
        if misfits:
            raise InputError(f"init_from: {path}: does not fit this configuration: {misfits[0]} is not in both models")

    def configure_optimizers(self) -> dict[str, object]:
        config = self.config
        groups = parameter_groups(
            self.model,
            learning_rate=config["learning_rate"],
            codebook_learning_rate=config["codebook_learning_rate"]
            or config["learning_rate"] * config.get("codebook_rate_factor", 1),
        )
        # With mixed precision Lightning does not clip the gradients of a fused optimiser.
        optimizer = torch.optim.Adam(groups, fused=config["precision"] == "32-true")
        if self.has_codebook:
            averages = [c.model.bottleneck for c in self.trainer.callbacks if isinstance(c, PolyakAveraging)]
            self.model.bottleneck.follow(optimizer, averaged=averages)
        milestones, gamma = config["lr_milestones"], config["lr_gamma"]
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda update: gamma ** bisect.bisect_right(milestones, update)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        checkpoint["vqbn_format"] = FORMAT
        checkpoint["vqbn_version"] = __version__
        # What the model is made again from, without the data.
        checkpoint[self.kind] = {"config": self.config, "update": self.trainer.global_step, **self.describe()}
        checkpoint["rng"] = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            checkpoint["rng"]["cuda"] = torch.cuda.get_rng_state(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        torch.set_rng_state(checkpoint["rng"]["cpu"])
        if "cuda" in checkpoint["rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(checkpoint["rng"]["cuda"])
