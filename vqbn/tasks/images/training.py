"""Training an autoencoder of images (section IV-C of the paper)."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vqbn.corpora.packed_images import ImageBatches, read_packed
from vqbn.errors import InputError
from vqbn.runs.build import build_autoencoder
from vqbn.runs.data import batch_loader
from vqbn.runs.keys import IMAGES as KEYS
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.task import Experiment, Prepared
from vqbn.tasks.images.evaluation import evaluate_images
from vqbn.tasks.images.model import CHANNELS, SUBSAMPLING


class ImageTraining(BottleneckTraining):
    """Negative log-likelihood in nats per dimension plus the bottleneck's loss.

    Args:
        config: as `parse_arguments` gives it.
        size: height and width of the images, which the checkpoint remembers.
    """

    kind = "image_autoencoder"
    losses = ("loss", "bpd", "vq")

    def __init__(self, config: Mapping[str, object], size: tuple[int, int]):
        super().__init__(config, build_autoencoder(config))
        self.size = size
        if config["channels_last"]:
            self.model.to(memory_format=torch.channels_last)

    def describe(self) -> dict[str, object]:
        return {"height": self.size[0], "width": self.size[1]}

    def training_step(self, images: Tensor, batch_idx: int) -> dict[str, Tensor]:
        positions = None
        if count := self.config["pixels_per_image"]:
            # From the global generator, whose state is in the checkpoint.
            positions = torch.randperm(images.shape[2] * images.shape[3])[:count].to(images.device)
        if not self.config["channels_last"]:
            images = images.contiguous()
        output = self.model(images, positions)
        nll = output.nll.mean()
        loss = nll + self.config["vq_loss_weight"] * output.loss
        return {"loss": loss, "bpd": nll.detach() / math.log(2), "vq": output.loss.detach()}


class ImageData(pl.LightningDataModule):
    """The training batches from wherever the trainer stands.

    Args:
        images: uint8 (images, height, width, channels).
        config: as `parse_arguments` gives it.
    """

    def __init__(self, images: np.ndarray, config: Mapping[str, object]):
        super().__init__()
        self.images = images
        self.config = config

    def train_dataloader(self) -> DataLoader:
        batches = ImageBatches(
            self.images,
            self.config["batch_size"],
            self.config["seed"],
            start=self.trainer.global_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return batch_loader(batches, self.config["num_workers"])


def prepare(config: Mapping[str, object]) -> Prepared:
    """Map the images of stage 0, and make an autoencoder for them.

    Raises:
        InputError: the images are unusable.
    """
    folder = Path(config["images"])
    train, dev = (read_packed(folder, config[name]) for name in ("train_set", "dev_set"))
    for images in (train, dev):
        if images.shape[3] != CHANNELS or any(size % SUBSAMPLING for size in images.shape[1:3]):
            raise InputError(
                f"{folder}: images of {images.shape[1:]}, expected (height, width, {CHANNELS}), both multiples of "
                f"{SUBSAMPLING}"
            )
    evaluate = partial(evaluate_images, images=dev, batch_size=config["eval_batch_size"])
    return Prepared(ImageTraining(config, train.shape[1:3]), ImageData(train, config), evaluate, f"{len(train)} images")


def summary(point: Mapping[str, object]) -> str:
    """An evaluation in a few words."""
    text = f"reconstruction {point['dev_reconstruction_bpd']:.3f} bits/dim"
    if point["quantised"]:
        text = f"NELBO {point['dev_nelbo']:.4f}, {text}"
        text += f", perplexity {point['perplexity']:.1f}, {point['used_codes']} codes used"
    return text + f", norm {point['codeword_norm']:.3g} (codewords) {point['encoder_norm']:.3g} (encoder)"


IMAGES = Experiment(
    keys=KEYS,
    kind=ImageTraining.kind,
    prepare=prepare,
    score="dev_nelbo",
    summary=summary,
    unit="images",
    speed=lambda config: config["batch_size"],
)
