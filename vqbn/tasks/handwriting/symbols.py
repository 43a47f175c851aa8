"""The characters that a probe reads from the codes of lines, for the study of scales."""

from pathlib import Path

import torch
from torch import nn

from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.metrics.probe import Coded
from vqbn.runs.task import Config
from vqbn.tasks.handwriting.evaluation import score_lines


def coded_lines(model: nn.Module, config: Config, set_name: str) -> list[Coded]:
    """The lines of a set that have a transcript, their codes and their characters.

    Raises:
        InputError: no line has a transcript.
    """
    dataset = LineDataset(config["dump"], set_name)
    codes = score_lines(model, dataset, config["batch_columns"], pixels=False).codes
    coded = [
        Coded(chosen, torch.tensor(dataset.alphabet.encode(text, f"{set_name}: line {name}")).numpy())
        for chosen, text, name in zip(codes, dataset.texts, dataset.ids, strict=True)
        if text
    ]
    if not coded:
        raise InputError(f"{Path(config['dump']) / set_name}: no line has a transcript to read from its codes")
    return coded


def count_characters(config: Config) -> int:
    """The characters, the blank included."""
    return len(LineDataset(config["dump"], config["train_set"]).alphabet)
