"""Training an autoencoder of images (section IV-C of the paper)."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from vqbn.corpora.packed_images import read_packed
from vqbn.errors import InputError
from vqbn.runs.data import TrainingBatches
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.task import Prepared
from vqbn.tasks.images.data import ImageBatches
from vqbn.tasks.images.evaluation import evaluate_images
from vqbn.tasks.images.model import CHANNELS, SUBSAMPLING, build_autoencoder


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
    batches = partial(ImageBatches, train, config["batch_size"], config["seed"])
    data = TrainingBatches(batches, config["num_workers"])
    return Prepared(ImageTraining(config, train.shape[1:3]), data, evaluate, f"{len(train)} images")
