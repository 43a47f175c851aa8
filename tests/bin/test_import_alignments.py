"""vqbn-import-alignments (stage 1)."""

import gzip

import pytest

from vqbn.bin.import_alignments import main
from vqbn.kaldi.ctm import read_ctm
from vqbn.kaldi.join import to_frames

AH_T = "AH_NEXT AH_LOOP_0 AH_END AH_LOOP_1 T_NEXT T_END"


@pytest.fixture
def make_set(tmp_path):
    """Make a data directory of some utterances; the audio isn't needed."""

    def make(name, utterances):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for file, column in (("wav.scp", "x.wav"), ("text", "HELLO"), ("utt2spk", "s")):
            (folder / file).write_text("".join(f"{utterance} {column}\n" for utterance in sorted(utterances)))
        return folder

    return make


def test_each_set_is_taken_from_the_directory_that_covers_it(make_set, tiny_kaldi, tmp_path):
    train, dev = make_set("train", ["a1", "a2"]), make_set("dev", ["b1", "b2"])
    exp = tmp_path / "exp"
    tiny_kaldi.write_ali_dir(exp / "tri3b_ali_train", [{"a1": AH_T}, {"a2": "SIL_SKIP " + AH_T}])
    # The test directory has the dev speakers, others, and a second, worse version of a1.
    tiny_kaldi.write_ali_dir(exp / "tri3b_ali_test", [{"b1": AH_T, "b2": "T_NEXT T_END", "c1": AH_T, "a1": "SIL_SKIP"}])
    tiny_kaldi.write_ali_dir(exp / "mono_ali_train", [{"a1": "SIL_SKIP", "a2": "SIL_SKIP"}])
    assert main(["--kaldi_exp", str(exp), "--set", str(train), "--set", str(dev)]) == 0
    assert (train / "phones.ctm").read_text() == (
        "a1 1 0.00 0.04 AH\na1 1 0.04 0.02 T\na2 1 0.00 0.01 SIL\na2 1 0.01 0.04 AH\na2 1 0.05 0.02 T\n"
    )
    assert (dev / "phones.ctm").read_text() == "b1 1 0.00 0.04 AH\nb1 1 0.04 0.02 T\nb2 1 0.00 0.02 T\n"
    assert main(["--kaldi_exp", str(exp / "mono_ali_train"), "--set", str(train)]) == 0
    assert (train / "phones.ctm").read_text() == "a1 1 0.00 0.01 SIL\na2 1 0.00 0.01 SIL\n"


def test_missing_and_broken_alignments_are_named_counted_and_left_out(make_set, tiny_kaldi, tmp_path, caplog, capsys):
    caplog.set_level("INFO")
    names = [f"u{number:02}" for number in range(40)]
    train = make_set("train", names)
    table = dict.fromkeys(names[1:], AH_T) | {"u05": "T_END"}
    folder = tiny_kaldi.write_ali_dir(tmp_path / "tri3b_ali", [table])
    assert main(["--kaldi_exp", str(folder), "--set", str(train)]) == 0
    assert sorted(read_ctm(train / "phones.ctm")) == sorted(set(names) - {"u00", "u05"})
    assert "left out: u00: no alignment" in caplog.text
    assert caplog.text.count("left out: u05: ") == 1
    assert "left out 2 of 40 utterances" in caplog.text
    before = (train / "phones.ctm").read_bytes()
    assert main(["--kaldi_exp", str(folder), "--set", str(train), "--max_bad", "0.04"]) == 1
    assert "2 of 40 utterances are unusable, more than 4% (--max_bad)" in capsys.readouterr().err
    assert (train / "phones.ctm").read_bytes() == before


def test_a_ctm_is_taken_with_positions_and_stress_stripped(make_set, tmp_path):
    train = make_set("train", ["a"])
    (tmp_path / "x.ctm").write_text("a 1 0.000 0.125 SIL\na 1 0.125 0.1 AH0_B\nother 1 0 1 Q\n")
    assert main(["--ctm", str(tmp_path / "x.ctm"), "--set", str(train)]) == 0
    assert (train / "phones.ctm").read_text() == "a 1 0.0000 0.1250 SIL\na 1 0.1250 0.1000 AH\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "final.mdl").write_bytes((d / "final.mdl").read_bytes()[:200]), "final.mdl: not a Kaldi model"),
        (lambda d: (d / "final.mdl").unlink(), "final.mdl: can't be read"),
        (lambda d: (d / "phones.txt").write_text("SIL 1\n"), "phones.txt: has no phone 2"),
        (lambda d: (d / "ali.1.gz").write_bytes((d / "ali.1.gz").read_bytes()[:-9]), "ali.1.gz: damaged or cut short"),
        (lambda d: (d / "ali.1.gz").write_bytes(gzip.compress(b"a \0BCM ")), "ali.1.gz: not an archive of alignments"),
        (lambda d: (d / "ali.1.gz").unlink(), "no ali.*.gz here"),
    ],
)
def test_damaged_kaldi_files_are_one_line(make_set, tiny_kaldi, tmp_path, capsys, damage, message):
    train = make_set("train", ["a"])
    folder = tiny_kaldi.write_ali_dir(tmp_path / "tri3b_ali", [{"a": AH_T}])
    damage(folder)
    assert main(["--kaldi_exp", str(folder), "--set", str(train)]) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert message in err[0]
    assert not (train / "phones.ctm").exists()


def test_foreign_ids_and_missing_folders_are_one_line(make_set, tiny_kaldi, tmp_path, capsys):
    train = make_set("train", ["a"])
    folder = tiny_kaldi.write_ali_dir(tmp_path / "exp/tri3b_ali", [{"b": AH_T}])
    assert main(["--kaldi_exp", str(folder), "--set", str(train)]) == 1
    assert "none of its utterances is in" in capsys.readouterr().err
    assert main(["--kaldi_exp", str(tmp_path / "nowhere"), "--set", str(train)]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert main(["--kaldi_exp", str(folder), "--set", str(tmp_path / "data/dev")]) == 1
    assert "data/dev: no such folder" in capsys.readouterr().err


def test_real_alignments_equal_kaldis_ctm(real_data, make_set, tmp_path):
    corpus = real_data / "speechocean762"
    content = gzip.decompress((corpus / "kaldi/expected/train/phones_lengths.txt.gz").read_bytes()).decode()
    symbols = dict(line.split()[::-1] for line in (corpus / "kaldi/lang/phones.txt").read_text().splitlines())
    expected = {}
    for line in content.splitlines():
        utterance, _, pairs = line.partition(" ")
        expected[utterance] = [
            (symbols[phone].split("_")[0].rstrip("012"), int(frames))
            for phone, frames in (pair.split() for pair in pairs.split(" ; "))
        ]
    train = make_set("train", expected)
    assert main(["--kaldi_exp", str(corpus / "kaldi/exp"), "--set", str(train)]) == 0
    table = read_ctm(train / "phones.ctm")
    assert {utterance: to_frames(segments) for utterance, segments in table.items()} == expected
