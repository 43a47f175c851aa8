"""Training a recogniser with CTC (section IV-A of the paper)."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.nets.ctc import ctc_loss
from vqbn.runs.data import TrainingBatches
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.task import Prepared
from vqbn.tasks.recognition.data import Batch, ChunkBatches
from vqbn.tasks.recognition.evaluation import evaluate
from vqbn.tasks.recognition.model import build_recognizer
from vqbn.tasks.recognition.scores import development_rate
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
        vocabulary = read_vocabulary(config["token_type"], config["tokens"])
        tokens = vocabulary.tokens
        train_set, dev_set = (
            open_transcribed(dump, config[name], phones, config["cmvn"], vocabulary, cache)
            for name in ("train_set", "dev_set")
        )
        train_set.check_tokens()
    sizes = (config[name] for name in ("batch_size", "chunk_frames", "chunks_per_utterance", "seed"))
    batches = partial(ChunkBatches, train_set, *sizes)
    rate = development_rate(config)

    def score(model: nn.Module) -> dict[str, float | bool | None]:
        found = asdict(evaluate(model, dev_set, config["batch_frames"]))
        return {rate: found.pop("per"), "dev_loss": found.pop("loss"), **found}

    return Prepared(
        RecognitionTraining(config, tokens, train_set.height),
        TrainingBatches(batches, config["num_workers"]),
        score,
        f"{len(train_set)} utterances, {sum(train_set.num_frames.values()) / 360000:.1f} h",
    )
