"""Derivatives on the way into an encoder."""

import numpy as np
import pytest
import torch

from vqbn.errors import InputError
from vqbn.espnet2.delta_features import DeltaFeatures
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.deltas import add_deltas
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import Tokens


@pytest.mark.parametrize("seed", range(3))
def test_derivatives_of_each_item_are_those_of_kaldi_whatever_stands_in_the_padding(seed):
    rng = np.random.default_rng(seed)
    lengths = [1, 2, 7, 12]
    items = [rng.normal(size=(length, 5)).astype(np.float32) for length in lengths]
    batch = torch.full((4, 12, 5), torch.nan)
    for row, item in enumerate(items):
        batch[row, : len(item)] = torch.from_numpy(item)
    found = DeltaFeatures(5)(batch, torch.tensor(lengths))
    for row, item in enumerate(items):
        expected = add_deltas(item).reshape(len(item), 3, 5).transpose(0, 2, 1)
        np.testing.assert_allclose(found[row, : len(item)].numpy(), expected, atol=1e-5)


def test_normalised_features_are_those_of_our_own_recipe(speech_dump):
    tokens = Tokens.read(speech_dump / "tokens.txt")
    dataset = SpeechDataset(speech_dump / "train", tokens, read_cmvn(speech_dump / "cmvn.ark"))
    layer = DeltaFeatures(21, str(speech_dump / "cmvn.ark"))
    archive = read_scp(speech_dump / "train/feats.scp")
    for utterance in dataset.utterances[:3]:
        static = torch.from_numpy(archive[utterance].copy())
        found = layer(static[None], torch.tensor([len(static)]))[0]
        np.testing.assert_allclose(found.numpy(), dataset.features(utterance), atol=1e-4)


def test_statistics_of_other_features_are_refused(speech_dump):
    with pytest.raises(InputError, match=r"statistics of 63 dimensions; expected 240"):
        DeltaFeatures(80, str(speech_dump / "cmvn.ark"))
