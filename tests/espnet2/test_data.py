"""Data folders for ESPnet."""

import numpy as np
import pytest

from vqbn.bin.espnet_data import main
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import Tokens
from vqbn.kaldi.transcripts import read_transcripts
from vqbn.tasks.recognition.data import ChunkBatches


@pytest.fixture
def dataset(speech_dump) -> SpeechDataset:
    return SpeechDataset(
        speech_dump / "train", Tokens.read(speech_dump / "tokens.txt"), read_cmvn(speech_dump / "cmvn.ark")
    )


def test_token_list_has_what_espnet_needs(espnet_data):
    assert (espnet_data / "tokens.txt").read_text().split() == ["<blank>", "<unk>", "AA", "IY", "S", "SIL", "<sos/eos>"]


def test_text_is_the_phones_of_the_alignment(espnet_data, dataset):
    text = read_transcripts(espnet_data / "train/text")
    assert list(text) == dataset.utterances
    for utterance, phones in text.items():
        assert phones.split() == dataset.tokens.names(dataset.targets(utterance))
    assert read_scp(espnet_data / "train/feats.scp").keys() == text.keys()


def test_chunks_are_those_that_our_recipe_trains_on(espnet_data, dataset):
    text, features = (
        read_transcripts(espnet_data / "train_chunks/text"),
        read_scp(espnet_data / "train_chunks/feats.scp"),
    )
    whole = read_scp(dataset.folder / "feats.scp")
    batches = ChunkBatches(dataset, 4, 32, 2, seed=1)
    names = iter(sorted(text))
    for update in (1, 2, 3):
        batch = batches.batch(update)
        for row in range(4):
            name = next(names)
            targets = batch.targets[row, : batch.target_lengths[row]].tolist()
            assert text[name].split() == dataset.tokens.names(targets)
            utterance, start = batches.chunk(0, (update - 1) * 4 + row)
            np.testing.assert_array_equal(features[name], whole[utterance][start : start + 32])
    assert next(names, None) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--token_type", "char"), "--tokens: not given"),
        (("--chunk_set", "dev"), "--chunk_set: found dev"),
    ],
)
def test_bad_options_end_with_one_line(options, said, speech_dump, tmp_path, capsys):
    argv = ["--dump", str(speech_dump), "--set", "train", "--out", str(tmp_path / "out")]
    assert main([*argv, *options]) == 1
    assert said in capsys.readouterr().err


def test_characters_need_transcripts_beside_the_features(speech_dump, tmp_path, capsys):
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "tokens.txt").write_text("<blank> 0\nA 1\n")
    argv = ["--dump", str(speech_dump), "--set", "train", "--out", str(tmp_path / "out")]
    assert main([*argv, "--token_type", "char", "--tokens", str(tokens)]) == 1
    assert "train/text: can't be read" in capsys.readouterr().err
