"""Training an autoencoder of handwriting (section IV-B of the paper)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.runs.data import TrainingBatches
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.task import Prepared
from vqbn.tasks.handwriting.data import LineBatch, LineChunks
from vqbn.tasks.handwriting.encoder import HandwritingEncoder
from vqbn.tasks.handwriting.evaluation import codebook_scores, score_lines
from vqbn.tasks.handwriting.model import LineAutoencoder, build_line_autoencoder


class HandwritingTraining(BottleneckTraining):
    """−ln p(pixel | codes) averaged over the valid pixels of a batch, plus the bottleneck's loss.

    Args:
        config: as `parse_arguments` gives it.
        height: rows of a line.
        levels: grey levels.
    """

    kind = "line_autoencoder"
    losses = ("loss", "nats", "vq")

    def __init__(self, config: Mapping[str, object], height: int, levels: int):
        super().__init__(config, build_line_autoencoder(config, height, levels))
        self.height = height
        self.levels = levels

    def describe(self) -> dict[str, object]:
        return {"height": self.height, "levels": self.levels}

    def training_step(self, batch: LineBatch, batch_idx: int) -> dict[str, Tensor]:
        output = self.model(batch.pixels, batch.lengths)
        nats = output.nats.sum() / (batch.lengths.sum() * self.height)
        loss = nats + self.config["vq_loss_weight"] * output.loss
        return {"loss": loss, "nats": nats.detach(), "vq": output.loss.detach()}


def prepare(config: Mapping[str, object]) -> Prepared:
    """Read the lines of stage 2, and make an autoencoder for them.

    Raises:
        InputError: the lines are unusable.
    """
    dump = Path(config["dump"])
    train_set, dev_set = (LineDataset(dump, config[name]) for name in ("train_set", "dev_set"))
    if config["chunk_columns"] % HandwritingEncoder.subsampling:
        raise InputError(
            f"chunk_columns: found {config['chunk_columns']}, expected a multiple of {HandwritingEncoder.subsampling}, "
            "the columns per latent"
        )

    def score(model: nn.Module) -> dict[str, float | bool | None]:
        found = score_lines(model, dev_set, config["batch_columns"])
        point = {"dev_bpd": found.bpd, "quantised": bool(found.codes), "encoder_norm": found.encoder_norm}
        point |= dict.fromkeys(("perplexity", "used_codes", "dev_uniform_nelbo", "dev_unigram_nelbo"))
        if found.codes:
            codes, _ = codebook_scores(
                found.codes, found.bpd, config["vq_codebook_size"], dimensions_per_code(model, dev_set)
            )
            point |= {"dev_uniform_nelbo": codes["uniform_nelbo"], "dev_unigram_nelbo": codes["unigram_nelbo"]}
            point |= {name: codes[name] for name in ("perplexity", "used_codes")}
        return point

    sizes = (config[name] for name in ("batch_size", "chunk_columns", "chunks_per_line", "seed"))
    batches = partial(LineChunks, train_set, *sizes)
    columns = train_set.columns.sum()
    module = HandwritingTraining(config, train_set.height, train_set.levels)
    module.model.decoder.start_from(torch.from_numpy(train_set.level_counts()))
    return Prepared(
        module,
        TrainingBatches(batches, config["num_workers"]),
        score,
        f"{len(train_set)} lines, {columns / 1000:.0f} thousand columns",
    )


def dimensions_per_code(model: LineAutoencoder, dataset: LineDataset) -> float:
    """Pixels per code index: 32 · 4 for the paper's model."""
    return dataset.height * model.subsampling / model.bottleneck.num_codebooks
