"""Training a recogniser with CTC, as a Lightning module."""

import bisect
from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vqbn import parameter_groups
from vqbn.data.chunks import Batch, ChunkBatches
from vqbn.data.speech import SpeechDataset
from vqbn.data.tokens import Tokens
from vqbn.models.ctc import ctc_loss
from vqbn.training.averaging import PolyakAveraging
from vqbn.training.build import build_recognizer


class RecognitionTraining(pl.LightningModule):
    """CTC plus the bottleneck's loss, Adam with a step size of its own for the codebook, step sizes cut at milestones.

    Args:
        config: as `parse_arguments` gives it.
        tokens: what is recognised.
        height: features per frame and channel.
    """

    def __init__(self, config: Mapping[str, object], tokens: Tokens, height: int):
        super().__init__()
        self.config = dict(config)
        self.tokens = tokens
        self.height = height
        self.model = build_recognizer(config, len(tokens), height)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        output = self.model(batch.features, batch.lengths)
        ctc = ctc_loss(output.log_probs, output.lengths, batch.targets, batch.target_lengths)
        loss = ctc + self.config["vq_loss_weight"] * output.loss
        return {"loss": loss, "ctc": ctc.detach(), "vq": output.loss.detach()}

    def configure_optimizers(self) -> dict[str, object]:
        config = self.config
        groups = parameter_groups(
            self.model,
            learning_rate=config["learning_rate"],
            codebook_learning_rate=config["codebook_learning_rate"] or config["learning_rate"],
        )
        # With mixed precision Lightning does not clip the gradients of a fused optimiser.
        optimizer = torch.optim.Adam(groups, fused=config["precision"] == "32-true")
        if config["bottleneck"] == "vq":
            averages = [c.model.bottleneck for c in self.trainer.callbacks if isinstance(c, PolyakAveraging)]
            self.model.bottleneck.follow(optimizer, averaged=averages)
        milestones, gamma = config["lr_milestones"], config["lr_gamma"]
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda update: gamma ** bisect.bisect_right(milestones, update)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        # What `load_recognizer` needs to make the model again without the data.
        checkpoint["recognizer"] = {
            "config": self.config,
            "tokens": self.tokens.symbols,
            "height": self.height,
            "update": self.trainer.global_step,
        }
        checkpoint["rng"] = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            checkpoint["rng"]["cuda"] = torch.cuda.get_rng_state(self.device)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        torch.set_rng_state(checkpoint["rng"]["cpu"])
        if "cuda" in checkpoint["rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(checkpoint["rng"]["cuda"])


class ChunkData(pl.LightningDataModule):
    """The training batches from wherever the trainer stands.

    Args:
        dataset: the training set.
        config: as `parse_arguments` gives it.
    """

    def __init__(self, dataset: SpeechDataset, config: Mapping[str, object]):
        super().__init__()
        self.dataset = dataset
        self.config = config

    def train_dataloader(self) -> DataLoader:
        config = self.config
        batches = ChunkBatches(
            self.dataset,
            config["batch_size"],
            config["chunk_frames"],
            config["chunks_per_utterance"],
            config["seed"],
            start=self.trainer.global_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        # A generator of its own: else each start of the loader would draw from the global one.
        return DataLoader(
            batches, batch_size=None, num_workers=config["num_workers"], generator=torch.Generator().manual_seed(0)
        )
