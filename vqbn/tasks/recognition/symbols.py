"""The phones that a probe reads from a recogniser's codes, for the study of scales."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from vqbn.errors import InputError
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.metrics.probe import Coded
from vqbn.runs.task import Config
from vqbn.tasks.recognition.data import whole_utterances


@torch.no_grad()
def coded_utterances(model: nn.Module, config: Config, set_name: str) -> list[Coded]:
    """The utterances of a set, their codes and their phones."""
    dump = Path(config["dump"])
    dataset = open_set(dump, set_name, Tokens.read(dump / "tokens.txt"), config["cmvn"])
    coded = []
    for utterances, batch in whole_utterances(dataset, config["batch_frames"]):
        output = model(batch.features, batch.lengths)
        for row in range(len(utterances)):
            targets: np.ndarray = batch.targets[row, : batch.target_lengths[row]].numpy()
            coded.append(Coded(output.indices[row, : int(output.lengths[row])].numpy(), targets))
    return [each for each in coded if len(each.targets)]


def count_phones(config: Config) -> int:
    """The tokens, the blank included.

    Raises:
        InputError: the configuration recognises something else than phones.
    """
    if config["token_type"] != "phn":
        raise InputError(f"token_type: found {config['token_type']}, expected phn: the probe reads phones")
    return len(Tokens.read(Path(config["dump"]) / "tokens.txt"))
