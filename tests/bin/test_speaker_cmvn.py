"""Normalisation by each speaker's own statistics, from training to scores."""

import json
import shutil

import numpy as np
import pytest

from vqbn.bin import decode, score, split_speakers, train
from vqbn.kaldi.archive import read_scp, write_archive
from vqbn.kaldi.cmvn import accumulate_groups
from vqbn.kaldi.deltas import add_deltas
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.runs.config import configuration_hash
from vqbn.tasks.recognition.keys import KEYS

TINY = {
    "task": "recognition",
    **{"conv_channels": 4, "lstm_layers": 1, "lstm_size": 8, "vq_codebook_size": 8, "vq_code_dim": 8},
    **{"learning_rate": 0.02, "batch_size": 6, "chunk_frames": 32, "max_updates": 12, "validate_every": 6},
}


@pytest.fixture(scope="module")
def dump(speech_dump, tmp_path_factory):
    """Every second speaker twice as loud and far off, and statistics of each."""
    folder = tmp_path_factory.mktemp("speakers") / "dump"
    shutil.copytree(speech_dump, folder)
    for name in ("train", "dev"):
        features = dict(read_scp(folder / name / "feats.scp"))
        features = {utt: 2 * x + 50 if int(utt[-1]) % 2 else x for utt, x in features.items()}
        write_archive(folder / name, "feats", features)
        sums = accumulate_groups(((f"speaker{utt[-1]}",), add_deltas(x)) for utt, x in features.items())
        write_archive(folder / name, "cmvn", {speaker: cmvn.stats for speaker, cmvn in sorted(sums.items())})
    return folder


def run(command, **options):
    """A command's status."""
    return command.main([f"--{key}={value}" for key, value in options.items()])


def test_every_speaker_has_mean_0_and_deviation_1(dump):
    data = open_set(dump, "train", Tokens.read(dump / "tokens.txt"), "speaker")
    speakers = {data.speaker(utt) for utt in data.utterances}
    assert len(speakers) == 10
    for speaker in speakers:
        own = [utt for utt in data.utterances if data.speaker(utt) == speaker]
        frames = np.concatenate([data.features(utt) for utt in own])
        np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(frames.std(0), 1, atol=1e-3)
        np.testing.assert_array_equal(data.chunk(own[0], 5, 9), data.features(own[0])[5:14])


def test_training_decoding_and_scoring_agree(dump, tmp_path, capsys):
    expdir = tmp_path / "run"
    assert run(train, dump=dump, expdir=expdir, cmvn="speaker", **TINY) == 0
    points = [json.loads(line) for line in (expdir / "curve.jsonl").read_text().splitlines()]
    assert run(decode, dump=dump, expdir=expdir, set="dev") == 0
    assert run(score, dump=dump, expdir=expdir, set="dev") == 0
    scores = json.loads((expdir / "scores.json").read_text())["dev"]
    assert scores["per"] == pytest.approx(min(point["dev_per"] for point in points))
    shutil.copytree(dump, tmp_path / "dump")
    (tmp_path / "dump/dev/cmvn.scp").unlink()
    capsys.readouterr()
    assert run(decode, dump=tmp_path / "dump", expdir=expdir, set="dev", out=tmp_path / "again") == 1
    assert "dev/cmvn.scp: no such file" in one_line(capsys)


def test_it_is_another_configuration_but_the_default_changes_no_hash():
    config = {key.name: key.default for key in KEYS}
    older = {name: value for name, value in config.items() if name != "cmvn"}
    assert configuration_hash(config, KEYS) != configuration_hash(config | {"cmvn": "speaker"}, KEYS)
    assert configuration_hash(config, KEYS) == configuration_hash(older, [key for key in KEYS if key.name != "cmvn"])


def test_the_halves_of_a_set_keep_their_speakers_statistics(dump, tmp_path):
    shutil.copytree(dump, tmp_path / "dump")
    assert run(split_speakers, dump=tmp_path / "dump") == 0
    tokens = Tokens.read(dump / "tokens.txt")
    whole = open_set(tmp_path / "dump", "dev", tokens, "speaker")
    half = open_set(tmp_path / "dump", "dev_tune", tokens, "speaker")
    assert len(read_scp(tmp_path / "dump/dev_tune/cmvn.scp")) == 3
    for utterance in half.utterances:
        np.testing.assert_array_equal(half.features(utterance), whole.features(utterance))
    (tmp_path / "dump/dev/cmvn.scp").unlink()
    assert run(split_speakers, dump=tmp_path / "dump") == 0
    assert not (tmp_path / "dump/dev_tune/cmvn.scp").exists()


def one_line(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(lines) == 1
    return lines[0]


def test_what_is_missing_is_named(speech_dump, dump, tmp_path, capsys):
    assert run(train, dump=speech_dump, expdir=tmp_path / "run", cmvn="speaker", **TINY) == 1
    assert "train/cmvn.scp: no such file; to normalise each speaker, run stage 2 with --cmvn speaker" in one_line(
        capsys
    )
    shutil.copytree(dump, tmp_path / "dump")
    scp = tmp_path / "dump/dev/cmvn.scp"
    scp.write_text("".join(scp.read_text().splitlines(keepends=True)[1:]))
    assert run(train, dump=tmp_path / "dump", expdir=tmp_path / "run", cmvn="speaker", **TINY) == 1
    assert "dev: no CMVN statistics of the speaker 'speaker0' (1 such speakers)" in one_line(capsys)
    assert run(train, dump=dump, expdir=tmp_path / "run", cmvn="utterance", **TINY) == 1
    assert "cmvn: expected global or speaker, found 'utterance'" in one_line(capsys)
