"""Training a recogniser with CTC (section IV-A of the paper)."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import lightning.pytorch as pl
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vqbn.data.chunks import Batch, ChunkBatches
from vqbn.data.speech import SpeechDataset, open_set
from vqbn.data.tokens import Tokens
from vqbn.models.ctc import ctc_loss
from vqbn.training.build import build_recognizer
from vqbn.training.data import batch_loader
from vqbn.training.evaluation import evaluate
from vqbn.training.experiment import Experiment, Prepared
from vqbn.training.keys import RECOGNITION as KEYS
from vqbn.training.module import BottleneckTraining


class RecognitionTraining(BottleneckTraining):
    """CTC plus the bottleneck's loss.

    Args:
        config: as `parse_arguments` gives it.
        tokens: what is recognised.
        height: features per frame and channel.
    """

    kind = "recognizer"
    losses = ("loss", "ctc", "vq")

    def __init__(self, config: Mapping[str, object], tokens: Tokens, height: int):
        super().__init__(config, build_recognizer(config, len(tokens), height))
        self.tokens = tokens
        self.height = height

    def describe(self) -> dict[str, object]:
        return {"tokens": self.tokens.symbols, "height": self.height}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        output = self.model(batch.features, batch.lengths)
        ctc = ctc_loss(output.log_probs, output.lengths, batch.targets, batch.target_lengths)
        loss = ctc + self.config["vq_loss_weight"] * output.loss
        return {"loss": loss, "ctc": ctc.detach(), "vq": output.loss.detach()}


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
        return batch_loader(batches, config["num_workers"])


def prepare(config: Mapping[str, object]) -> Prepared:
    """Read the features of stage 2, and make a recogniser for them.

    Raises:
        InputError: the features are unusable.
    """
    dump = Path(config["dump"])
    tokens = Tokens.read(dump / "tokens.txt")
    train_set, dev_set = (
        open_set(dump, config[name], tokens, config["cmvn"], cache=config["cache_features"])
        for name in ("train_set", "dev_set")
    )

    def score(model: nn.Module) -> dict[str, float | bool | None]:
        found = asdict(evaluate(model, dev_set, config["batch_frames"]))
        return {"dev_per": found.pop("per"), "dev_loss": found.pop("loss"), **found}

    return Prepared(
        RecognitionTraining(config, tokens, train_set.height),
        ChunkData(train_set, config),
        score,
        f"{len(train_set)} utterances, {sum(train_set.num_frames.values()) / 360000:.1f} h",
    )


def summary(point: Mapping[str, object]) -> str:
    """An evaluation in a few words."""
    text = f"PER {point['dev_per']:.2f} %, loss {point['dev_loss']:.3f}"
    if point["perplexity"] is not None:
        text += f", perplexity {point['perplexity']:.0f}, {point['used_codes']} codes used"
    if point["codeword_norm"] is not None:
        text += f", norm {point['codeword_norm']:.3g} (codewords) {point['encoder_norm']:.3g} (encoder)"
    return text


RECOGNITION = Experiment(
    keys=KEYS,
    kind=RecognitionTraining.kind,
    prepare=prepare,
    score="dev_per",
    summary=summary,
    unit="frames",
    speed=lambda config: config["batch_size"] * config["chunk_frames"],
)
