"""WSJ from made-up discs: the same data directories from every layout, and a reason for everything left out."""

import numpy as np
import pytest

from vqbn.bin.prepare_wsj import main
from vqbn.corpora.wsj import SETS
from vqbn.corpora.wsj_transcripts import normalise
from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.datadir import find_problems, read_data_dir

INDEX = ("11_13_1", "wsj0/doc/indices/train/tr_s_wv1.ndx")


@pytest.fixture
def discs(wsj_tree, sphere_files):
    """What is on the discs, to be changed by the test and written by `prepare`."""
    return wsj_tree.files(sphere_files)


@pytest.fixture
def prepare(wsj_tree, tmp_path):
    """Write the discs in a layout and run the command on them; gives its status."""

    def run(content, *options, layout="discs"):
        wsj0, wsj1 = wsj_tree.write(content, tmp_path / layout, layout)
        return main(["--wsj0", str(wsj0), "--wsj1", str(wsj1), "--out", str(tmp_path / "data"), *options])

    return run


def lists(folder):
    """The data directories' files but for the audio's places."""
    return {
        str(path.relative_to(folder)): path.read_text() for path in sorted(folder.glob("*/*")) if path.name != "wav.scp"
    }


def error(capsys):
    """The one line that the command printed."""
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("layout", ["discs", "boxes", "upper", "merged", "merged-upper", "bare", "bare-upper"])
def test_every_layout_gives_the_same_sets(prepare, discs, wsj_tree, tmp_path, layout):
    assert prepare(discs, layout=layout) == 0
    expected = {
        "train_si84": ["train0"],
        "train_si284": ["train0", "train1"],
        "test_dev93": ["dev93"],
        "test_eval92": ["eval92"],
        "test_eval93": ["eval93"],
    }
    assert expected.keys() == SETS.keys()
    for name, parts in expected.items():
        folder = tmp_path / "data" / name
        assert find_problems(folder) == []
        data = read_data_dir(folder)
        assert list(data.utterances) == sorted(utt for part in parts for utt in wsj_tree.utterances(part, 2))
        for utterance in data.utterances.values():
            assert utterance.text == wsj_tree.WORDS
            assert utterance.speaker == utterance.id[:3]
            assert utterance.audio.is_absolute()
            assert len(read_audio(utterance.audio)) == 8000
    assert (tmp_path / "data/test_dev93/spk2gender").read_text() == "4k0 m\n4k1 f\n"
    assert (tmp_path / "data/test_dev93/spk2utt").read_text() == "4k0 4k0c0301 4k0c0302\n4k1 4k1c0301 4k1c0302\n"


def test_the_audio_is_the_discs_own(prepare, wsj_tree, sphere_files, tmp_path):
    rng = np.random.default_rng(1)
    audio = {utterance: rng.integers(-999, 999, 700).astype(np.int16) for utterance in wsj_tree.utterances("dev93", 2)}
    assert prepare(wsj_tree.files(sphere_files, audio), "--sets", "test_dev93") == 0
    for utterance in read_data_dir(tmp_path / "data/test_dev93").utterances.values():
        np.testing.assert_array_equal(read_audio(utterance.audio), audio[utterance.id])


def test_genders_are_written_for_all_speakers_or_not_at_all(prepare, discs, tmp_path, caplog):
    assert prepare(discs, "--sets", "train_si284") == 0
    assert not (tmp_path / "data/train_si284/spk2gender").exists()
    assert "2 of 4 speakers are, the first is 01i" in caplog.text
    (tmp_path / "wsj0-train-spkrinfo.txt").write_text("; comment\n01i F 30\n01j M 31 --\n")
    assert prepare(discs, "--sets", "train_si284", "--spkrinfo", str(tmp_path / "wsj0-train-spkrinfo.txt")) == 0
    assert (tmp_path / "data/train_si284/spk2gender").read_text() == "01i f\n01j m\n46a f\n46b m\n"


def test_counts_are_held_against_those_of_whole_discs(prepare, discs, caplog, monkeypatch):
    caplog.set_level("INFO")
    assert prepare(discs, "--sets", "test_eval92") == 0
    assert "test_eval92: 4 utterances of 2 speakers, but whole discs have 333" in caplog.text
    monkeypatch.setitem(SETS, "test_eval92", type(SETS["test_eval92"])(SETS["test_eval92"].indices, 4))
    assert prepare(discs, "--sets", "test_eval92") == 0
    assert "test_eval92: 4 utterances of 2 speakers, as on whole discs" in caplog.text


def test_the_counts_of_whole_discs_are_those_of_kaldis_recipe():
    assert {name: each.utterances for name, each in SETS.items()} == {
        "train_si84": 7138,
        "train_si284": 37416,
        "test_dev93": 503,
        "test_eval92": 333,
        "test_eval93": 213,
    }


def missing_audio(discs, wsj_tree):
    del discs[wsj_tree.place("train0", "01ic0202")]
    return "no disc has wsj0/si_tr_s/01i/01ic0202.wv1; the index puts it on 11-1.1"


def missing_transcript(discs, wsj_tree):
    dot = ("11_4_1", "wsj0/transcrp/dots/si_tr_s/01i/01ic0200.dot")
    discs[dot] = discs[dot].replace(b"(01ic0202)", b"(01ic0299)")
    return "no transcript in"


def missing_transcripts(discs, wsj_tree):
    del discs["11_4_1", "wsj0/transcrp/dots/si_tr_s/01i/01ic0200.dot"]
    return "no transcript in any 01ic0200.dot"


def two_transcripts(discs, wsj_tree):
    discs["11_4_1", "wsj0/transcrp/dots/si_tr_s/01i/01ic0200.dot"] += b"something else (01ic0202)\n"
    return "01ic0200.dot:3: a second transcript"


def no_words(discs, wsj_tree):
    dot = ("11_4_1", "wsj0/transcrp/dots/si_tr_s/01i/01ic0200.dot")
    discs[dot] = discs[dot].splitlines(keepends=True)[0] + b"[<cough] . ~ (01ic0202)\n"
    return "its transcript has no word"


def two_files(discs, wsj_tree):
    discs[INDEX] += b"11_1_1:wsj0/si_tr_l/01i/01ic0202.wv1\n"
    return "the indices give it twice: wsj0/si_tr_s/01i/01ic0202.wv1 and wsj0/si_tr_l/01i/01ic0202.wv1"


@pytest.mark.parametrize(
    "damage", [missing_audio, missing_transcript, missing_transcripts, two_transcripts, no_words, two_files]
)
def test_a_defective_utterance_is_named_and_left_out(prepare, discs, wsj_tree, tmp_path, caplog, capsys, damage):
    said = damage(discs, wsj_tree)
    assert prepare(discs, "--sets", "train_si84", "--max_bad", "0.5") == 0
    left = list(read_data_dir(tmp_path / "data/train_si84").utterances)
    assert "01ic0202" not in left
    assert {"01jc0201", "01jc0202"} <= set(left)
    assert any(line.startswith("left out: 01ic0202: ") and said in line for line in caplog.messages)
    capsys.readouterr()
    assert prepare(discs, "--sets", "train_si284") == 1
    assert "of 8 utterances are unusable, more than 5% (--max_bad)" in error(capsys)
    assert not (tmp_path / "data/train_si284").exists()


def test_an_utterance_listed_twice_is_there_once(prepare, discs, tmp_path, caplog):
    discs[INDEX] += b"11_1_1:wsj0/si_tr_s/01i/01ic0202.wv1\n"
    assert prepare(discs, "--sets", "train_si84") == 0
    assert len(read_data_dir(tmp_path / "data/train_si84").utterances) == 4
    assert "1 lines of its indices name a file that an earlier line names too" in caplog.text


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        (
            INDEX,
            None,
            "no disc has wsj0/doc/indices/train/tr_s_wv1.ndx, the index of train_si84; it is on disc 11-13.1",
        ),
        (INDEX, b"not an index\n", "tr_s_wv1.ndx:1: found 'not an index'"),
        (INDEX, b"11_1_1:wsj0/si_tr_s/01i/readme.doc\n", "no utterance of WSJ"),
        (INDEX, b"; nothing\n", "lists no utterances"),
    ],
)
def test_a_defective_index_ends_the_run(prepare, discs, tmp_path, capsys, place, content, message):
    if content is None:
        del discs[place]
    else:
        discs[place] = content
    assert prepare(discs) == 1
    assert message in error(capsys)
    assert not (tmp_path / "data").exists()


def test_wrong_discs_are_told_from_missing_ones(prepare, discs, wsj_tree, tmp_path, capsys):
    wsj0, wsj1 = map(str, wsj_tree.write(discs, tmp_path, "discs"))
    (tmp_path / "empty").mkdir()
    for first, second, message in (
        (wsj1, wsj0, f"--wsj0 {wsj1}: has the discs of WSJ1, not of WSJ0"),
        (wsj0, wsj0, f"--wsj1 {wsj0}: has the discs of WSJ0, not of WSJ1"),
        (str(tmp_path / "empty"), wsj1, "empty: has no WSJ discs; expected disc folders such as 11-1.1"),
        (str(tmp_path / "nowhere"), wsj1, "nowhere: no such folder"),
    ):
        assert main(["--wsj0", first, "--wsj1", second, "--out", str(tmp_path / "data")]) == 1
        assert message in error(capsys)
    assert main(["--wsj0", str(tmp_path), "--wsj1", str(tmp_path), "--out", str(tmp_path / "data")]) == 0
    assert main(["--wsj0", wsj0, "--out", str(tmp_path / "data0"), "--sets", "train_si84 test_eval92"]) == 0
    assert main(["--wsj0", wsj0, "--out", str(tmp_path / "data1"), "--sets", "test_dev93"]) == 1
    assert "no disc has wsj1/doc/indices/h1_p0.ndx" in error(capsys)
    assert main(["--wsj0", wsj0, "--sets", "dev93"]) == 1
    assert "there is no 'dev93'; the sets are train_si84" in error(capsys)


@pytest.mark.parametrize(
    ("transcript", "words"),
    [
        ("Hello I\\. B\\. M\\. there", "HELLO I. B. M. THERE"),
        ("[tongue_click] so <and> it's <he's>", "<NOISE> SO AND IT'S HE'S"),
        ("[<door_slam] a [door_slam>] b [phone_ring/] c [/phone_ring] d", "A B C D"),
        ("up %percent .point ~ . --dash ,COMMA", "UP PERCENT POINT -DASH ,COMMA"),
        ('"DOUBLE-QUOTE re*peat* mis- *al*ready', '"DOUBLE-QUOTE RE*PEAT* MIS- *AL*READY'),
        ("word[loud_breath] [loud_breath]word <a b>", "<NOISE> <NOISE> <A B>"),
        ("", ""),
    ],
)
def test_transcripts_are_normalised_as_kaldi_does(transcript, words):
    assert normalise(transcript) == words
