"""Training a recogniser with CTC (section IV-A of the paper)."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import lightning.pytorch as pl
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vqbn.kaldi.speech import SpeechDataset, open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.nets.ctc import ctc_loss
from vqbn.runs.build import build_recognizer
from vqbn.runs.data import batch_loader
from vqbn.runs.keys import RECOGNITION as KEYS
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.task import Experiment, Prepared
from vqbn.tasks.recognition.data import Batch, ChunkBatches
from vqbn.tasks.recognition.evaluation import evaluate
from vqbn.tasks.recognition.transcribed import open_transcribed, read_vocabulary


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
        average = self.config.get("ctc_average", "item")
        ctc = ctc_loss(output.log_probs, output.lengths, batch.targets, batch.target_lengths, average)
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
    phones = tokens = Tokens.read(dump / "tokens.txt")
    cache = config["cache_features"]
    if config["token_type"] == "phn":
        train_set, dev_set = (
            open_set(dump, config[name], phones, config["cmvn"], cache) for name in ("train_set", "dev_set")
        )
    else:
        vocabulary = read_vocabulary(config["token_type"], config["units"])
        tokens = vocabulary.tokens
        train_set, dev_set = (
            open_transcribed(dump, config[name], phones, config["cmvn"], vocabulary, cache)
            for name in ("train_set", "dev_set")
        )
        train_set.check_tokens()
    rate = for_config(config).score

    def score(model: nn.Module) -> dict[str, float | bool | None]:
        found = asdict(evaluate(model, dev_set, config["batch_frames"]))
        return {rate: found.pop("per"), "dev_loss": found.pop("loss"), **found}

    return Prepared(
        RecognitionTraining(config, tokens, train_set.height),
        ChunkData(train_set, config),
        score,
        f"{len(train_set)} utterances, {sum(train_set.num_frames.values()) / 360000:.1f} h",
    )


def summary(point: Mapping[str, object]) -> str:
    """An evaluation in a few words."""
    rate = f"PER {point['dev_per']:.2f}" if "dev_per" in point else f"token error rate {point['dev_ter']:.2f}"
    text = f"{rate} %, loss {point['dev_loss']:.3f}"
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


def for_config(config: Mapping[str, object]) -> Experiment:
    """`RECOGNITION` as a configuration makes it: what chooses the best checkpoint, and what its speed counts.

    With text targets the best checkpoint has the lowest error rate in tokens, `dev_ter`: characters or pieces.
    """
    experiment = RECOGNITION
    if config["token_type"] != "phn":
        experiment = replace(experiment, score="dev_ter")
    if not config["chunk_frames"]:
        experiment = replace(experiment, unit="utterances", speed=lambda config: config["batch_size"])
    return experiment
