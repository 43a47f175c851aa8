import shutil

import numpy as np
import pytest

from vqbn.data.speech import SpeechDataset
from vqbn.data.tokens import Tokens
from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp, write_archive
from vqbn.kaldi.cmvn import read_cmvn


def load(folder, name="train", cache=False):
    return SpeechDataset(folder / name, Tokens.read(folder / "tokens.txt"), read_cmvn(folder / "cmvn.ark"), cache)


@pytest.fixture
def copy(speech_dump, tmp_path):
    """The dump, free to damage; its archives are still those of the original."""
    shutil.copytree(speech_dump, tmp_path / "dump")
    return tmp_path / "dump"


def test_normalised_training_features_have_mean_0_and_deviation_1(speech_dump):
    data = load(speech_dump)
    frames = np.concatenate([data.features(utt) for utt in data.utterances])
    assert frames.shape[1:] == (21, 3)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-4)


@pytest.mark.parametrize("cache", [False, True])
def test_a_chunk_equals_the_same_frames_of_the_whole_utterance(speech_dump, cache):
    data = load(speech_dump, cache=cache)
    utt = data.utterances[3]
    whole, n = data.features(utt).copy(), data.num_frames[utt]
    for start, frames in [(0, 10), (1, 5), (3, 20), (n - 10, 10), (n - 12, 10), (0, n), (7, 1)]:
        np.testing.assert_array_equal(data.chunk(utt, start, frames), whole[start : start + frames])


def test_reading_features_changes_nothing_that_is_kept(speech_dump):
    data = load(speech_dump, cache=True)
    first = data.features(data.utterances[0]).copy()
    np.testing.assert_array_equal(data.features(data.utterances[0]), first)


def test_targets_are_the_segments_that_a_chunk_touches(speech_dump, monkeypatch):
    data = load(speech_dump)
    utt = data.utterances[0]
    # Frames: 1 1 1 1 | 1 1 1 | (gap) 0 0 0 | 2 2 | 3 ...
    pairs = np.array([[1, 4], [1, 3], [0, 3], [2, 2], [3, data.num_frames[utt] - 12]])
    monkeypatch.setattr(data, "segments", lambda utterance: pairs)
    assert data.targets(utt).tolist() == [1, 1, 2, 3]
    assert data.targets(utt, 0, 4).tolist() == [1]
    assert data.targets(utt, 0, 5).tolist() == [1, 1]
    assert data.targets(utt, 4, 5).tolist() == [1]
    assert data.targets(utt, 7, 3).tolist() == []
    assert data.targets(utt, 9, 4).tolist() == [2, 3]


def test_an_utterance_that_only_one_file_has_is_named(copy):
    path = copy / "train" / "utt2spk"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(InputError, match=r"utt2spk: 'train-00' is not both"):
        load(copy)


@pytest.mark.parametrize("name", ["feats.scp", "phones.scp", "utt2spk", "utt2num_frames"])
def test_a_missing_file_is_named(copy, name):
    (copy / "train" / name).unlink()
    with pytest.raises(InputError, match=f"{name}: can't be read"):
        load(copy)


def test_a_missing_set_is_named(copy):
    with pytest.raises(InputError, match="eval: no such folder"):
        load(copy, "eval")


@pytest.mark.parametrize(
    ("phones", "problem"),
    [
        ([1, 5], "segments of 5 frames"),
        ([1, 5, 2], "pairs"),
        ([5, 70], "token that tokens.txt does not have"),
        ([-1, 70], "token that tokens.txt does not have"),
    ],
)
def test_a_damaged_alignment_is_named(copy, phones, problem):
    items = dict(read_scp(copy / "train" / "phones.scp"))
    items["train-01"] = np.array(phones, dtype=np.int32)
    write_archive(copy / "train", "phones", items)
    with pytest.raises(InputError, match=f"'train-01'.*{problem}"):
        load(copy).segments("train-01")


def test_features_of_another_shape_are_named(copy):
    items = dict(read_scp(copy / "train" / "feats.scp"))
    items["train-01"] = items["train-01"][:-1]
    write_archive(copy / "train", "feats", items)
    with pytest.raises(InputError, match=r"feats.scp: 'train-01' has features of shape"):
        load(copy).features("train-01")
