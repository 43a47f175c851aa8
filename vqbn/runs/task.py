"""The seam between what every training run does and what one kind of model needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import lightning.pytorch as pl
from torch import nn

from vqbn.runs.keys import Key
from vqbn.runs.module import BottleneckTraining


@dataclass(frozen=True)
class Prepared:
    """A run's parts, made from its configuration.

    Attributes:
        module: the model with its training step.
        data: its `train_dataloader` begins with the batch of update `self.trainer.global_step` + 1, so that the update
            number is all the state that the data has.
        evaluate: scores a model (the averaged one, where there is averaging) on the development set: name → number or
            None, for the curve. `quantised` says whether codewords were in use; `encoder_norm`, `perplexity` and
            `used_codes` are None where there are none.
        size: the data in words, for the log.
    """

    module: BottleneckTraining
    data: pl.LightningDataModule
    evaluate: Callable[[nn.Module], Mapping[str, float | bool | None]]
    size: str


@dataclass(frozen=True)
class Experiment:
    """One kind of training run: everything that `run.train` has to be told.

    `run.train(config, experiment)` does the rest, the same for all: the Lightning trainer, Polyak averaging, `best` and
    `last` as whole files, the log, TensorBoard, `curve.jsonl`, and going on bit for bit after any interruption. To
    train another kind of model:

    1. write its table of keys from `keys.BOTTLENECK`, `keys.OPTIMISATION` and `keys.RUNNING`;
    2. derive its module from `module.BottleneckTraining`;
    3. write a function that prepares module, data and evaluation;
    4. put them into an `Experiment`, and call `train` from a command that parses the keys.

    `recognition.RECOGNITION` and `images.IMAGES` are examples.

    Attributes:
        keys: of the configuration.
        kind: the name under which a checkpoint holds what describes the model; that of the module's `kind`.
        prepare: reads the data and makes the parts; raises InputError where the data is unusable.
        score: which of the evaluation's numbers chooses the best checkpoint: the lowest one while quantised.
        summary: an evaluation in a few words, for the log.
        unit: what `speed` counts, for the log: "frames".
        speed: units that one update takes, from the configuration.
    """

    keys: Sequence[Key]
    kind: str
    prepare: Callable[[Mapping[str, object]], Prepared]
    score: str
    summary: Callable[[Mapping[str, object]], str]
    unit: str
    speed: Callable[[Mapping[str, object]], float]
