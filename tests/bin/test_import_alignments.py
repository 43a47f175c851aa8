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
    (tmp_path / "x.ctm").write_text("a 1 0.000 0.125 SIL\na 1 0.125 0.1 AH0_B\nother 1 0 1 Q_S\n")
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


def test_a_models_folder_brings_its_other_alignments(make_set, tiny_kaldi, tmp_path, capsys):
    train, dev = make_set("train_si284", ["a1", "a2"]), make_set("test_dev93", ["b1", "b2"])
    exp = tmp_path / "s5/exp"
    tiny_kaldi.write_ali_dir(exp / "tri3b", [{"a1": AH_T, "a2": AH_T}])
    (tmp_path / "s5/data/lang_nosp").mkdir(parents=True)
    sets = ["--set", str(train), "--set", str(dev)]
    for given in (exp / "tri3b", exp):
        assert main(["--kaldi_exp", str(given), *sets]) == 1
        said = capsys.readouterr()
        assert said.out.splitlines()[1:] == [
            f"cd {tmp_path}/s5",
            'steps/align_fmllr.sh --nj 1 --cmd "$train_cmd" data/test_dev93 data/lang_nosp exp/tri3b '
            "exp/tri3b_ali_test_dev93",
        ]
        assert f"error: {dev}: {given} has no alignments of it; the commands above make them" in said.err
        assert not (train / "phones.ctm").exists()
    tiny_kaldi.write_ali_dir(exp / "tri3b_ali_test_dev93", [{"b1": AH_T, "b2": AH_T}])
    for given in (exp / "tri3b", exp):
        assert main(["--kaldi_exp", str(given), *sets]) == 0
        assert sorted(read_ctm(dev / "phones.ctm")) == ["b1", "b2"]
    assert main(["--kaldi_exp", str(exp / "tri3b_ali_test_dev93"), *sets]) == 1


def test_tri4b_is_taken_where_there_is_no_tri3b(make_set, tiny_kaldi, tmp_path, capsys):
    train, dev = make_set("train", ["a1"]), make_set("dev", ["b1"])
    exp = tmp_path / "s5/exp"
    tiny_kaldi.write_ali_dir(exp / "tri4b", [{"a1": AH_T}])
    tiny_kaldi.write_ali_dir(exp / "tri5b_ali_dev", [{"b1": AH_T}])
    assert main(["--kaldi_exp", str(exp), "--set", str(train)]) == 0
    assert main(["--kaldi_exp", str(exp), "--set", str(train), "--set", str(dev)]) == 1
    assert "data/dev data/lang exp/tri4b exp/tri4b_ali_dev" in capsys.readouterr().out
    patterns = ["--ali_dirs", "tri4b tri5b_ali*"]
    assert main(["--kaldi_exp", str(exp), "--set", str(train), "--set", str(dev), *patterns]) == 0
    assert list(read_ctm(dev / "phones.ctm")) == ["b1"]


@pytest.mark.parametrize(("ours", "kaldis"), [("s-001", "001"), ("s_001", "001"), ("001", "s-001"), ("001", "s_001")])
def test_ids_may_have_the_speaker_in_front_or_not(make_set, tiny_kaldi, tmp_path, ours, kaldis):
    train = make_set("train", [ours])
    folder = tiny_kaldi.write_ali_dir(tmp_path / "tri3b_ali", [{kaldis: AH_T, "else": AH_T}])
    assert main(["--kaldi_exp", str(folder), "--set", str(train)]) == 0
    assert list(read_ctm(train / "phones.ctm")) == [ours]


def test_an_id_without_speaker_that_could_be_two_is_refused(make_set, tiny_kaldi, tmp_path, capsys):
    train = make_set("train", ["s-001", "t-001"])
    (train / "utt2spk").write_text("s-001 s\nt-001 t\n")
    folder = tiny_kaldi.write_ali_dir(tmp_path / "tri3b_ali", [{"001": AH_T}])
    assert main(["--kaldi_exp", str(folder), "--set", str(train)]) == 1
    assert "'001' could be 's-001' or 't-001'" in capsys.readouterr().err


def test_a_chain_models_alignments_count_three_frames_at_a_time(make_set, tiny_kaldi, tmp_path, capsys):
    train = make_set("train", ["a"])
    folder = tiny_kaldi.write_ali_dir(tmp_path / "tri5_ali", [{"a": "T_NEXT T_END"}])
    (folder / "frame_subsampling_factor").write_text("3\n")
    assert main(["--kaldi_exp", str(folder), "--set", str(train)]) == 0
    assert (train / "phones.ctm").read_text() == "a 1 0.00 0.06 T\n"
    (folder / "frame_subsampling_factor").write_text("three\n")
    assert main(["--kaldi_exp", str(folder), "--set", str(train)]) == 1
    assert "frame_subsampling_factor: found 'three'" in capsys.readouterr().err


def test_nothing_is_written_unless_every_set_is_good(make_set, tiny_kaldi, tmp_path, capsys):
    train, dev = make_set("train", ["a1", "a2"]), make_set("dev", ["b1", "b2"])
    folder = tiny_kaldi.write_ali_dir(tmp_path / "tri3b_ali", [{"a1": AH_T, "a2": AH_T, "b1": AH_T}])
    assert main(["--kaldi_exp", str(folder), "--set", str(train), "--set", str(dev)]) == 1
    assert "1 of 2 utterances are unusable" in capsys.readouterr().err
    assert not (train / "phones.ctm").exists()


@pytest.mark.parametrize("given", ["exp/tri3b", "{}/exp/tri3b", "./exp//tri3b/", "exp/../exp/tri3b", "exp", "{}/exp"])
def test_the_spelling_of_a_path_decides_nothing(make_set, tiny_kaldi, tmp_path, monkeypatch, caplog, given):
    """Kaldi leaves the training set's alignments in the model's folder and in one beside it."""
    caplog.set_level("INFO")
    train = make_set("train", ["a"])
    exp = tmp_path / "exp"
    tiny_kaldi.write_ali_dir(exp / "tri3b", [{"a": AH_T}])
    tiny_kaldi.write_ali_dir(exp / "tri3b_ali", [{"a": "SIL_SKIP " + AH_T}])
    monkeypatch.chdir(tmp_path)
    assert main(["--kaldi_exp", given.format(tmp_path), "--set", str(train)]) == 0
    assert (train / "phones.ctm").read_text() == "a 1 0.00 0.04 AH\na 1 0.04 0.02 T\n"
    assert f"taken from {exp}/tri3b; as many of its utterances are in {exp}/tri3b_ali" in caplog.text
    assert f"1 utterances (1 from {exp}/tri3b)" in caplog.text


def test_of_equal_folders_the_one_given_first_is_taken(make_set, tiny_kaldi, tmp_path, monkeypatch):
    train = make_set("train", ["a"])
    tiny_kaldi.write_ali_dir(tmp_path / "tri3b", [{"a": AH_T}])
    tiny_kaldi.write_ali_dir(tmp_path / "tri3b_ali", [{"a": "SIL_SKIP"}])
    monkeypatch.chdir(tmp_path / "tri3b_ali")
    for given in (["."], [str(tmp_path / "tri3b_ali"), "../tri3b"], ["../tri3b_ali", "."]):
        options = [option for folder in given for option in ("--kaldi_exp", folder)]
        assert main([*options, "--set", str(train)]) == 0
        assert (train / "phones.ctm").read_text() == "a 1 0.00 0.01 SIL\n"


def test_experiments_of_other_names_are_named_with_how_to_choose_one(make_set, tiny_kaldi, tmp_path, capsys):
    train = make_set("train", ["a"])
    for name in ("mono_ali", "tri3_ali", "chain/ali_sp"):
        tiny_kaldi.write_ali_dir(tmp_path / "my exp" / name, [{"a": AH_T}])
    assert main(["--kaldi_exp", str(tmp_path / "my exp"), "--set", str(train)]) == 1
    said = capsys.readouterr().err
    assert "or in tri3b_ali*, tri3b, tri4b_ali*, tri4b, but in chain/ali_sp, mono_ali, tri3_ali; choose" in said
    assert f"--kaldi_exp '{tmp_path}/my exp/tri3_ali'" in said
    assert main(["--kaldi_exp", str(tmp_path / "my exp/tri3_ali"), "--set", str(train)]) == 0


def test_phones_of_other_languages_stay_apart_unless_told_otherwise(make_set, tmp_path):
    phones = ["i", "i2", "t", "t_S", "a1", "a2", "a3", "a4"]
    train = make_set("train", ["u"])
    lines = [f"u 1 {start / 10} 0.1 {phone}\n" for start, phone in enumerate(phones)]
    (tmp_path / "x.ctm").write_text("".join(lines))
    options = ["--ctm", str(tmp_path / "x.ctm"), "--set", str(train)]
    for more, expected in (([], phones), (["--strip_stress", "true"], ["i", "i", "t", "t_S", "a", "a", "a3", "a4"])):
        assert main([*options, *more]) == 0
        assert [segment.phone for segment in read_ctm(train / "phones.ctm")["u"]] == expected


def test_silence_is_as_kaldi_or_the_user_says(make_set, tiny_kaldi, tmp_path, capsys):
    train = make_set("train", ["a"])
    folder = tiny_kaldi.write_ali_dir(tmp_path / "exp/tri3b_ali", [{"a": AH_T}])
    options = ["--kaldi_exp", str(folder), "--set", str(train)]
    assert main(options) == 0
    assert not (train / "silence_phones.txt").exists()
    (folder / "phones").mkdir()
    (folder / "phones/optional_silence.txt").write_text("SIL\n")
    assert main(options) == 0
    assert (train / "silence_phones.txt").read_text() == "SIL\n"
    assert main([*options, "--silence_phones", "T"]) == 0
    assert (train / "silence_phones.txt").read_text() == "T\n"
    assert main([*options, "--silence_phones", "sil"]) == 1
    assert "--silence_phones: there is no phone 'sil'; there are AH T" in capsys.readouterr().err
