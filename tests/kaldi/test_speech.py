import gzip
import shutil
import weakref

import kaldiio
import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.archive import Archive, read_scp, write_archive
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import Tokens
from vqbn.tasks.recognition.data import ChunkBatches


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


@pytest.mark.parametrize("cache", [False, True])
def test_features_are_read_when_a_batch_needs_them_and_kept_only_if_asked(speech_dump, monkeypatch, cache):
    arrays, read = [], Archive.__getitem__

    def watched(archive, key):
        array = read(archive, key)
        if archive.path.name == "feats.scp":
            arrays.append(weakref.ref(array))
        return array

    monkeypatch.setattr(Archive, "__getitem__", watched)
    data = load(speech_dump, cache=cache)
    batches = ChunkBatches(data, 8, 32)
    updates = 3 * batches.epoch_items // 8
    for update in range(1, updates + 1):
        assert cache or len(arrays) == 8 * (update - 1)
        batches.batch(update)
        kept = sum(array() is not None for array in arrays)
        assert kept == (len(arrays) if cache else 0)
    assert len(arrays) == (len(data) if cache else 8 * updates)


def test_other_peoples_archives_are_read(copy):
    """Compressed, as text, gzipped, from a command, and a range of a longer matrix."""
    plain = load(copy)
    names = plain.utterances[:6]
    static = {name: read_scp(copy / "train/feats.scp")[name] for name in names}
    entries = dict(line.split() for line in (copy / "train/feats.scp").read_text().splitlines())

    def save(name, array, **style):
        kaldiio.save_ark(str(copy / f"{name}.ark"), {name: array}, scp=str(copy / f"{name}.scp"), **style)
        return (copy / f"{name}.scp").read_text().split()[1]

    bytes_, words, text, zipped, piped, part = names
    entries[bytes_] = save(bytes_, static[bytes_], compression_method=2)
    entries[words] = save(words, static[words], compression_method=3)
    entries[text] = save(text, static[text], text=True)
    for name in (zipped, piped):
        kaldiio.save_mat(str(copy / f"{name}.mat"), static[name])
    (copy / f"{zipped}.gz").write_bytes(gzip.compress((copy / f"{zipped}.mat").read_bytes()))
    entries[zipped] = f"{copy}/{zipped}.gz"
    entries[piped] = f"cat {copy}/{piped}.mat |"
    longer = np.vstack([static[part][:7], static[part], static[part][:3]])
    entries[part] = f"{save(part, longer)}[7:{6 + len(static[part])}]"
    (copy / "train/feats.scp").write_text("".join(f"{name} {entry}\n" for name, entry in entries.items()))
    foreign = load(copy)
    for name in names:
        # One byte a value is off by a part of the column's range, and deltas and CMVN with it.
        atol = {bytes_: 0.1, words: 1e-3}.get(name, 1e-4)
        np.testing.assert_allclose(foreign.features(name), plain.features(name), atol=atol)
        np.testing.assert_allclose(foreign.chunk(name, 3, 20), plain.chunk(name, 3, 20), atol=atol)


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
