"""The seam between what every run does and what one kind of model needs."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from vqbn.errors import InputError
from vqbn.runs.keys import Key
from vqbn.runs.results import Result

# A task can be asked for its keys and options without torch, which --help and a wrong key need not wait for.
if TYPE_CHECKING:
    import lightning.pytorch as pl
    import numpy as np
    from torch import Tensor, nn

    from vqbn.metrics.evaluation import Evaluation
    from vqbn.metrics.probe import Coded
    from vqbn.runs.loaded import Loaded
    from vqbn.runs.model_folder import ModelFolder

Config = Mapping[str, object]


@dataclass(frozen=True)
class Prepared:
    """A run's parts, made from its configuration.

    Attributes:
        module: the model with its training step, a `BottleneckTraining`.
        data: its `train_dataloader` begins with the batch of update `self.trainer.global_step` + 1, so that the update
            number is all the state that the data has.
        evaluate: scores a model (the averaged one, where there is averaging) on the development set: name → number or
            None, for the curve. `quantised` says whether codewords were in use; `encoder_norm`, `perplexity` and
            `used_codes` are None where there are none.
        size: the data in words, for the log.
    """

    module: "pl.LightningModule"
    data: "pl.LightningDataModule"
    evaluate: "Callable[[nn.Module], Mapping[str, float | bool | None]]"
    size: str


@dataclass(frozen=True)
class FrontEnd:
    """How a model's input is made of files, for a model folder.

    Attributes:
        settings: plain values, for config.json.
        arrays: tensors, such as CMVN statistics.
    """

    settings: dict[str, object] = field(default_factory=dict)
    arrays: "dict[str, Tensor]" = field(default_factory=dict)


class Row(NamedTuple):
    """How a score is shown."""

    name: str
    digits: int = 1
    scale: float = 1


def likelihood_rows(unit: str) -> dict[str, Row]:
    """The rows of a task whose models draw their data from codes.

    Args:
        unit: what likelihoods are in: "bits per pixel".
    """
    return {
        "reconstruction_bpd": Row(f"reconstruction, {unit}", 4),
        "uniform_nelbo": Row("uniform NELBO", 4),
        "unigram_nelbo": Row("unigram NELBO", 4),
        "perplexity": Row("perplexity, mean over codebooks"),
        "used_codes": Row("codes used", 0),
        "codebook_size": Row("  codewords in each codebook", 0),
        "codes_seen": Row("  codes counted", 0),
    }


class Tuned(NamedTuple):
    """What a search over settings makes small.

    Attributes:
        score: a key of scores.json.
        row: how its means are shown.
        tie: a key of a curve's points, which tells settings apart whose scores are alike to a digit more than is
            shown; "" for none.
    """

    score: str
    row: Row
    tie: str = ""


@dataclass(frozen=True)
class Decoding:
    """What `Task.decode` is asked to do.

    Attributes:
        loaded: the model, on the CPU.
        args: the command line, the task's own options among it.
        device: "cpu" or "cuda".
        about: what every decode.json says: `set`, `checkpoint`, `update`, `averaged`.
    """

    loaded: "Loaded"
    args: argparse.Namespace
    device: str
    about: dict[str, object]


@dataclass(frozen=True)
class Runs:
    """What `Task.report` writes up.

    Attributes:
        sections: folder with results → its results, one or more of each.
        folder: the one that the report will lie in, which links to figures start from.
        title: the report's first line.
        set_name: the set that the tables are about; None: the task's choice.
        searches: for some sections, the runs of a search over settings.
        scales: for some sections, the points of `vqbn-scale-study` and its picture.
    """

    sections: Mapping[Path, Sequence[Result]]
    folder: Path
    title: str = "Results"
    set_name: str | None = None
    searches: Mapping[Path, Sequence[Result]] = field(default_factory=dict)
    scales: Mapping[Path, tuple[Sequence[dict], Path]] = field(default_factory=dict)


class Task(ABC):
    """One kind of model, trained, decoded, scored, reported and used: what the commands have to be told of it.

    The rest is the same for all: configurations, the Lightning trainer, Polyak averaging, `best` and `last` as whole
    files, the log, TensorBoard, `curve.jsonl`, going on bit for bit after any interruption, results files, searches,
    tables and figures. docs/architecture.md says how a task is added.

    Attributes:
        name: in configurations and on the command line.
        keys: of the configuration; begun by `keys.task_key`.
        kind: the name under which a checkpoint holds what describes the model; that of the module's `kind`.
        score_rows: key of scores.json → how it is shown, in this order.
        tuned: what a search over settings makes small.
        symbols: what a probe reads from codes in `vqbn-scale-study`, such as "phone"; "" for nothing.
        example: a line of Python that uses `model`, for a model's card.
        default_set: the set that is decoded and scored where none is named.
    """

    name: ClassVar[str]
    keys: ClassVar[Sequence[Key]]
    kind: ClassVar[str]
    score_rows: ClassVar[Mapping[str, Row]]
    tuned: ClassVar[Tuned]
    symbols: ClassVar[str] = ""
    example: ClassVar[str] = "help(model)"
    default_set: ClassVar[str] = "dev"

    # Training.

    def check(self, config: Config) -> tuple[str, str] | None:
        """A key whose value does not go with the others, and what is wrong; None where all is well."""
        return None

    @abstractmethod
    def prepare(self, config: Config) -> Prepared:
        """Read the data and make a run's parts.

        Raises:
            InputError: the data is unusable.
        """

    @abstractmethod
    def best_by(self, config: Config) -> str:
        """Which of the evaluation's numbers chooses the best checkpoint: the lowest one while quantised."""

    @abstractmethod
    def summary(self, point: Mapping[str, object]) -> str:
        """An evaluation in a few words, for the log."""

    @abstractmethod
    def speed(self, config: Config) -> tuple[float, str]:
        """How many units an update takes, and what they are, for the log: (2048, "frames")."""

    # A trained model.

    @abstractmethod
    def build(self, about: Mapping[str, object]) -> "nn.Module":
        """The model that a checkpoint describes, with fresh weights.

        Args:
            about: `config`, `update`, and what the module's `describe` gave.
        """

    def latents(self, loaded: "Loaded", place: Path, device: str) -> "Iterator[tuple[str, np.ndarray]]":
        """What a model hands its bottleneck.

        Args:
            loaded: the model.
            place: the folder or file of a set.
            device: where the model runs.

        Yields:
            An item's name and its vectors, float32 (n, D): those that are compared with codewords, or for a model
            without codewords the projection.
        """
        raise InputError(f"{loaded.path}: a model of the task {self.name}, whose latents can't be taken alone")

    def front_end(self, loaded: "Loaded") -> FrontEnd:
        """How the model's input is made, from what the run's data folder says.

        Raises:
            InputError: the folder is not there any more, or damaged.
        """
        raise InputError(f"{loaded.path}: a model of the task {self.name}, which vqbn-export can't give away")

    def load(self, folder: "ModelFolder") -> object:
        """What a model folder gives to use: `vqbn.load`.

        Raises:
            InputError: the folder's files don't fit each other.
        """
        raise InputError(f"{folder.path}: a model of the task {self.name}, which vqbn.load can't use")

    def encode(self, loaded: "Loaded", args: argparse.Namespace) -> None:
        """Write the codes of files that the model was not made for: `vqbn-encode`."""
        raise InputError(f"{loaded.path}: a model of the task {self.name}, which vqbn-encode can't use")

    # Stage 4.

    @abstractmethod
    def add_decode_options(self, options: argparse.ArgumentParser) -> None:
        """Add what `decode` can be told besides the options that all tasks have."""

    def decoded_name(self, args: argparse.Namespace) -> str:
        """What the decoding that `args` ask for is called: the set."""
        return args.set_name

    @abstractmethod
    def decode(self, decoding: Decoding, out: Path) -> str:
        """Take a set through a model, and write the folder `out`.

        Returns:
            What was decoded, for the log: "240 lines".

        Raises:
            InputError: the set is unusable, or not of the model's kind.
        """

    # Stage 5.

    @abstractmethod
    def add_score_options(self, options: argparse.ArgumentParser) -> None:
        """Add what `score` can be told besides the options that all tasks have."""

    @abstractmethod
    def score(self, args: argparse.Namespace) -> "dict[str, Evaluation]":
        """The scores of each decoded set of `args.sets`, in this order.

        Raises:
            InputError: a set is not decoded, or its files are malformed.
        """

    # Stage 6.

    @abstractmethod
    def report(self, runs: Runs) -> str:
        """RESULTS.md; draws the figures into `figures/` of each section's folder.

        Raises:
            OSError: a figure can't be written.
        """

    # The study of scales, where `symbols` are read.

    def coded(self, model: "nn.Module", config: Config, set_name: str) -> "list[Coded]":
        """The items of a set that have symbols, as a model codes them."""
        raise NotImplementedError

    def count_symbols(self, config: Config) -> int:
        """The number of symbols, the blank included.

        Raises:
            InputError: there are none with this configuration.
        """
        raise NotImplementedError


def norms(point: Mapping[str, object]) -> str:
    """The norms of an evaluation for `Task.summary`, after a comma; "" for a model without codewords."""
    if point["codeword_norm"] is None:
        return ""
    return f", norm {point['codeword_norm']:.3g} (codewords) {point['encoder_norm']:.3g} (encoder)"
