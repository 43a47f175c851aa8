"""The kinds of data that the study of scales is made on."""

from pathlib import Path

import torch

from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.metrics.probe import Coded
from vqbn.runs.checkpoint import load_model, load_recognizer
from vqbn.runs.scale_study import Config, Subject
from vqbn.tasks.handwriting.evaluation import score_lines
from vqbn.tasks.handwriting.training import HANDWRITING, build_line_autoencoder
from vqbn.tasks.recognition.data import whole_utterances
from vqbn.tasks.recognition.training import RECOGNITION


def speech_sequences(expdir: Path, config: Config, set_name: str) -> list[Coded]:
    """The utterances of a set, their codes and their phones."""
    dump = Path(config["dump"])
    dataset = open_set(dump, set_name, Tokens.read(dump / "tokens.txt"), config["cmvn"])
    model = load_recognizer(expdir, "last").model
    coded = []
    for utterances, batch in whole_utterances(dataset, config["batch_frames"]):
        with torch.no_grad():
            output = model(batch.features, batch.lengths)
        for row in range(len(utterances)):
            targets = batch.targets[row, : batch.target_lengths[row]].numpy()
            coded.append(Coded(output.indices[row, : int(output.lengths[row])].numpy(), targets))
    return [each for each in coded if len(each.targets)]


def speech_symbols(config: Config) -> int:
    """The tokens, the blank included."""
    return len(Tokens.read(Path(config["dump"]) / "tokens.txt"))


def handwriting_sequences(expdir: Path, config: Config, set_name: str) -> list[Coded]:
    """The lines of a set that have a transcript, their codes and their characters.

    Raises:
        InputError: no line has a transcript.
    """
    dataset = LineDataset(config["dump"], set_name)
    model, _, _ = load_model(
        expdir / "checkpoints/last.ckpt",
        HANDWRITING.kind,
        lambda about: build_line_autoencoder(about["config"], about["height"], about["levels"]),
    )
    codes = score_lines(model, dataset, config["batch_columns"], pixels=False).codes
    coded = [
        Coded(chosen, torch.tensor(dataset.alphabet.encode(text, f"{set_name}: line {name}")).numpy())
        for chosen, text, name in zip(codes, dataset.texts, dataset.ids, strict=True)
        if text
    ]
    if not coded:
        raise InputError(f"{Path(config['dump']) / set_name}: no line has a transcript to read from its codes")
    return coded


def handwriting_symbols(config: Config) -> int:
    """The characters, the blank included."""
    return len(LineDataset(config["dump"], config["train_set"]).alphabet)


SUBJECTS = {
    "speech": Subject(RECOGNITION, speech_sequences, speech_symbols),
    "handwriting": Subject(HANDWRITING, handwriting_sequences, handwriting_symbols),
}
