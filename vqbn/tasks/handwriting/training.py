"""Training an autoencoder of handwriting (section IV-B of the paper)."""

from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.nets.latent_mixer import LatentMixer
from vqbn.nets.pixelcnn import PixelCNN
from vqbn.runs.build import build_bottleneck
from vqbn.runs.data import batch_loader
from vqbn.runs.keys import HANDWRITING as KEYS
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.task import Experiment, Prepared
from vqbn.tasks.handwriting.data import LineBatch, LineChunks
from vqbn.tasks.handwriting.encoder import HandwritingEncoder
from vqbn.tasks.handwriting.evaluation import codebook_scores, score_lines
from vqbn.tasks.handwriting.model import LineAutoencoder


def build_line_autoencoder(config: Mapping[str, object], height: int, levels: int) -> LineAutoencoder:
    """An autoencoder with fresh weights, the same for the same `seed`.

    Args:
        config: as `parse_arguments` gives it.
        height: rows of a line.
        levels: grey levels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config["seed"])
        encoder = HandwritingEncoder(height, config["conv_channels"], config["lstm_size"])
        bottleneck = build_bottleneck(config, encoder.output_dim)
        mixer = LatentMixer(config["vq_code_dim"], config["mixer_size"])
        decoder = PixelCNN(
            height,
            levels,
            condition_dim=config["mixer_size"],
            channels=config["pixelcnn_channels"],
            layers=config["pixelcnn_layers"],
            repeat=encoder.subsampling,
        )
        return LineAutoencoder(encoder, bottleneck, mixer, decoder)


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


class LineData(pl.LightningDataModule):
    """The training batches from wherever the trainer stands.

    Args:
        dataset: the training set.
        config: as `parse_arguments` gives it.
    """

    def __init__(self, dataset: LineDataset, config: Mapping[str, object]):
        super().__init__()
        self.dataset = dataset
        self.config = config

    def train_dataloader(self) -> DataLoader:
        config = self.config
        batches = LineChunks(
            self.dataset,
            config["batch_size"],
            config["chunk_columns"],
            config["chunks_per_line"],
            config["seed"],
            start=self.trainer.global_step,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )
        return batch_loader(batches, config["num_workers"])


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

    columns = train_set.columns.sum()
    module = HandwritingTraining(config, train_set.height, train_set.levels)
    module.model.decoder.start_from(torch.from_numpy(train_set.level_counts()))
    return Prepared(
        module,
        LineData(train_set, config),
        score,
        f"{len(train_set)} lines, {columns / 1000:.0f} thousand columns",
    )


def dimensions_per_code(model: LineAutoencoder, dataset: LineDataset) -> float:
    """Pixels per code index: 32 · 4 for the paper's model."""
    return dataset.height * model.subsampling / model.bottleneck.num_codebooks


def summary(point: Mapping[str, object]) -> str:
    """An evaluation in a few words."""
    text = f"{point['dev_bpd']:.4f} bits per pixel"
    if point["perplexity"] is not None:
        text += f", unigram NELBO {point['dev_unigram_nelbo']:.4f}"
        text += f", perplexity {point['perplexity']:.0f}, {point['used_codes']} codes used"
    if point["codeword_norm"] is not None:
        text += f", norm {point['codeword_norm']:.3g} (codewords) {point['encoder_norm']:.3g} (encoder)"
    return text


HANDWRITING = Experiment(
    keys=KEYS,
    kind=HandwritingTraining.kind,
    prepare=prepare,
    score="dev_bpd",
    summary=summary,
    unit="columns",
    speed=lambda config: config["batch_size"] * config["chunk_columns"],
)
