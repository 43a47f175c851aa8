import shutil

import numpy as np
import pytest

from vqbn.bin.split_speakers import main
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import Tokens


@pytest.fixture
def dump(speech_dump, tmp_path):
    """A copy whose archives are still those of the original."""
    shutil.copytree(speech_dump, tmp_path / "dump")
    return tmp_path / "dump"


def dataset(dump, name):
    return SpeechDataset(dump / name, Tokens.read(dump / "tokens.txt"), read_cmvn(dump / "cmvn.ark"))


def test_the_halves_hold_the_same_utterances_as_the_set(dump):
    assert main(["--dump", str(dump)]) == 0
    whole, tune, report = (dataset(dump, name) for name in ("dev", "dev_tune", "dev_report"))
    assert sorted(tune.utterances + report.utterances) == whole.utterances
    for half in (tune, report):
        for utterance in half.utterances:
            np.testing.assert_array_equal(half.features(utterance), whole.features(utterance))
            np.testing.assert_array_equal(half.segments(utterance), whole.segments(utterance))
    speakers = [{half.speaker(utterance) for utterance in half.utterances} for half in (tune, report)]
    assert speakers == [{"speaker1", "speaker3", "speaker5"}, {"speaker0", "speaker2", "speaker4"}]


def test_genders_are_shared_out(dump):
    genders = dump / "spk2gender"
    genders.write_text("".join(f"speaker{i} {gender}\n" for i, gender in enumerate("mfmfmf")))
    assert main(["--dump", str(dump), "--spk2gender", str(genders)]) == 0
    tune = dataset(dump, "dev_tune")
    assert {tune.speaker(utterance) for utterance in tune.utterances} == {"speaker3", "speaker0", "speaker4"}


def test_the_shared_corpus_has_seven_to_tune_on_and_eight_to_report(real_data):
    from vqbn.kaldi.speaker_split import read_pairs, split_speakers

    dev = real_data / "speechocean762/dev"
    gender = read_pairs(dev / "spk2gender")
    tune, report = split_speakers(set(read_pairs(dev / "utt2spk").values()), gender)
    assert (len(tune), len(report)) == (7, 8)
    assert sorted(gender[speaker] for speaker in tune) == list("fffmmmm")
    assert sorted(gender[speaker] for speaker in report) == list("fffmmmmm")


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda dump: shutil.rmtree(dump / "dev"), [], "dev/utt2spk: can't be read"),
        (lambda dump: (dump / "dev/utt2spk").write_text("a b c\n"), [], "utt2spk:1: found 'a b c'"),
        (lambda dump: (dump / "dev/utt2spk").write_text("a b\n"), [], "utt2spk: found 1 speakers"),
        (lambda dump: (dump / "g").write_text("speaker0 f\n"), ["--spk2gender", "g"], "no gender of 'speaker1'"),
    ],
)
def test_what_can_not_be_divided_is_named(dump, monkeypatch, capsys, spoil, options, message):
    spoil(dump)
    monkeypatch.chdir(dump)
    assert main(["--dump", str(dump), *options]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vqbn-split")]
    assert message in line
    assert not (dump / "dev_report").exists()
