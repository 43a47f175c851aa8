"""Training tri3b with Kaldi's own scripts, against stand-ins that check what they are called with."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqbn.kaldi.ctm import read_ctm

TOP = Path(__file__).resolve().parents[2]
STAND_IN = TOP / "tests/recipes/kaldi_stand_in.py"
SCRIPTS = {
    "steps": (
        *("make_mfcc", "compute_cmvn_stats", "train_mono", "align_si"),
        *("train_deltas", "train_lda_mllt", "train_sat", "align_fmllr"),
    ),
    "utils": ("prepare_lang", "subset_data_dir"),
    "local": ("wsj_prepare_dict",),
}


@pytest.fixture
def kaldi_root(tmp_path):
    """A made-up Kaldi."""
    root = tmp_path / "kaldi"
    for folder, names in SCRIPTS.items():
        (root / "egs/wsj/s5" / folder).mkdir(parents=True)
        for name in names:
            script = root / "egs/wsj/s5" / folder / f"{name}.sh"
            script.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$0" "$@"\n')
            script.chmod(0o755)
    (root / "src/featbin").mkdir(parents=True)
    (root / "src/featbin/compute-mfcc-feats").touch()
    (root / "tools/sph2pipe_v2.5").mkdir(parents=True)
    program = root / "tools/sph2pipe_v2.5/sph2pipe"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return root


def write_set(folder, speakers, suffix="wav"):
    """A data directory of two utterances per speaker."""
    folder.mkdir(parents=True)
    ids = [f"{speaker}-{number}" for speaker in speakers for number in "12"]
    for utterance in ids:
        soundfile.write(folder / f"{utterance}.wav", np.ones(400 + 160 * 5, np.int16), 16000)
        (folder / f"{utterance}.wav").rename(folder / f"{utterance}.{suffix}")
    (folder / "wav.scp").write_text("".join(f"{utt} {folder}/{utt}.{suffix}\n" for utt in ids))
    (folder / "text").write_text("".join(f"{utt} A CAT\n" for utt in ids))
    (folder / "utt2spk").write_text("".join(f"{utt} {utt[:-2]}\n" for utt in ids))


@pytest.fixture
def data(tmp_path):
    """Data directories as both recipes name them, and a lexicon."""
    for name, speakers in (("train", "abc"), ("dev", "xy"), ("train_si284", "abc"), ("test_dev93", "x")):
        write_set(tmp_path / "data" / name, speakers)
    (tmp_path / "data/lexicon.txt").write_text("A\tAH0\nA\tEY1\nCAT\tK AE1 T\n")
    return tmp_path / "data"


def run(script, *arguments, cwd):
    """Call a script of a recipe."""
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return subprocess.run(
        [str(TOP / "egs" / script), *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_speechocean762_is_trained_as_said_and_only_once(kaldi_root, data, tmp_path):
    arguments = ("--kaldi_root", kaldi_root, "--datadir", "data", "--nj", "2")
    result = run("speechocean762/local/train_tri3b.sh", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    calls = (data / "kaldi/calls").read_text().splitlines()
    lang = "data/lang_nosp"
    assert calls == [
        "steps/make_mfcc.sh --cmd run.pl --nj 2 data/train",
        "steps/compute_cmvn_stats.sh data/train",
        "steps/make_mfcc.sh --cmd run.pl --nj 2 data/dev",
        "steps/compute_cmvn_stats.sh data/dev",
        f"utils/prepare_lang.sh data/local/dict_nosp <SPOKEN_NOISE> data/local/lang_tmp_nosp {lang}",
        "utils/subset_data_dir.sh --shortest data/train 1000 data/train_1kshort",
        f"steps/train_mono.sh --boost-silence 1.25 --nj 2 --cmd run.pl data/train_1kshort {lang} exp/mono",
        f"steps/align_si.sh --boost-silence 1.25 --nj 2 --cmd run.pl data/train {lang} exp/mono exp/mono_ali",
        f"steps/train_deltas.sh --boost-silence 1.25 --cmd run.pl 600 6000 data/train {lang} exp/mono_ali exp/tri1",
        f"steps/align_si.sh --nj 2 --cmd run.pl data/train {lang} exp/tri1 exp/tri1_ali",
        "steps/train_lda_mllt.sh --cmd run.pl --splice-opts --left-context=3 --right-context=3 800 8000 "
        f"data/train {lang} exp/tri1_ali exp/tri2b",
        f"steps/align_si.sh --nj 2 --cmd run.pl data/train {lang} exp/tri2b exp/tri2b_ali",
        f"steps/train_sat.sh --cmd run.pl 1000 10000 data/train {lang} exp/tri2b_ali exp/tri3b",
        f"steps/align_fmllr.sh --nj 2 --cmd run.pl data/train {lang} exp/tri3b exp/tri3b_ali_train",
        f"steps/align_fmllr.sh --nj 2 --cmd run.pl data/dev {lang} exp/tri3b exp/tri3b_ali_dev",
    ]
    dictionary = data / "kaldi/data/local/dict_nosp"
    assert (dictionary / "lexicon.txt").read_text() == (
        "!SIL SIL\n<NOISE> NSN\n<SPOKEN_NOISE> SPN\n<UNK> SPN\nA AH0\nA EY1\nCAT K AE1 T\n"
    )
    assert (dictionary / "nonsilence_phones.txt").read_text() == "AE1\nAH0\nEY1\nK\nT\n"
    assert (dictionary / "extra_questions.txt").read_text() == "SIL SPN NSN\nK T\nAH0\nAE1 EY1\n"
    # Stopped and called again, it goes on where it was.
    (data / "kaldi/exp/tri3b/.finished").unlink()
    (data / "kaldi/calls").unlink()
    assert run("speechocean762/local/train_tri3b.sh", *arguments, cwd=tmp_path).returncode == 0
    assert [line.split()[0] for line in (data / "kaldi/calls").read_text().splitlines()] == ["steps/train_sat.sh"]


def test_wsj_is_trained_as_kaldis_recipe_does(kaldi_root, data, tmp_path):
    for path in (data / "train_si284/wav.scp", data / "test_dev93/wav.scp"):
        path.write_text(path.read_text().replace(".wav", ".wv1"))
    arguments = ("--kaldi_root", kaldi_root, "--datadir", data, "--sets", "train_si284 test_dev93", "--nj", "4")
    result = run("wsj/local/train_tri3b.sh", *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    calls = (data / "kaldi/calls").read_text().splitlines()
    lang = "data/lang_nosp"
    assert calls[4:] == [
        "local/wsj_prepare_dict.sh --dict-suffix _nosp",
        f"utils/prepare_lang.sh data/local/dict_nosp <SPOKEN_NOISE> data/local/lang_tmp_nosp {lang}",
        "utils/subset_data_dir.sh --first data/train_si284 7138 data/train_si84",
        "utils/subset_data_dir.sh --shortest data/train_si84 2000 data/train_si84_2kshort",
        "utils/subset_data_dir.sh data/train_si84 3500 data/train_si84_half",
        f"steps/train_mono.sh --boost-silence 1.25 --nj 3 --cmd run.pl data/train_si84_2kshort {lang} exp/mono0a",
        "steps/align_si.sh --boost-silence 1.25 --nj 3 --cmd run.pl "
        f"data/train_si84_half {lang} exp/mono0a exp/mono0a_ali",
        "steps/train_deltas.sh --boost-silence 1.25 --cmd run.pl 2000 10000 "
        f"data/train_si84_half {lang} exp/mono0a_ali exp/tri1",
        f"steps/align_si.sh --nj 3 --cmd run.pl data/train_si84 {lang} exp/tri1 exp/tri1_ali_si84",
        "steps/train_lda_mllt.sh --cmd run.pl --splice-opts --left-context=3 --right-context=3 2500 15000 "
        f"data/train_si84 {lang} exp/tri1_ali_si84 exp/tri2b",
        f"steps/align_si.sh --nj 3 --cmd run.pl data/train_si284 {lang} exp/tri2b exp/tri2b_ali_si284",
        f"steps/train_sat.sh --cmd run.pl 4200 40000 data/train_si284 {lang} exp/tri2b_ali_si284 exp/tri3b",
        f"steps/align_fmllr.sh --nj 3 --cmd run.pl data/train_si284 {lang} exp/tri3b exp/tri3b_ali_train_si284",
        f"steps/align_fmllr.sh --nj 1 --cmd run.pl data/test_dev93 {lang} exp/tri3b exp/tri3b_ali_test_dev93",
    ]
    sph2pipe = kaldi_root / "tools/sph2pipe_v2.5/sph2pipe"
    assert (data / "kaldi/data/test_dev93/wav.scp").read_text() == (
        f"x-1 {sph2pipe} -f wav -p -c 1 {data}/test_dev93/x-1.wv1 |\n"
        f"x-2 {sph2pipe} -f wav -p -c 1 {data}/test_dev93/x-2.wv1 |\n"
    )


def test_the_recipe_aligns_only_the_sets_that_kaldi_exp_lacks(kaldi_root, data, tmp_path, tiny_kaldi):
    s5 = tmp_path / "s5"
    aligned = dict.fromkeys([f"{speaker}-{number}" for speaker in "abc" for number in "12"], "SIL_SKIP T_NEXT T_END")
    tiny_kaldi.write_ali_dir(s5 / "exp/tri3b", [aligned])
    (s5 / "data/lang_nosp").mkdir(parents=True)
    (s5 / "data/lang_nosp/L.fst").touch()
    (s5 / "conf").mkdir()
    (s5 / "conf/mfcc.conf").write_text("--use-energy=true\n")
    write_set(data / "test_eval92", "z")
    arguments = ("--data", "data", "--datadir", "out", "--kaldi_exp", "s5/exp", "--kaldi_root", kaldi_root)
    result = run("wsj/run.sh", *arguments, "--stop_stage", "1", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    work = tmp_path / "out/kaldi"
    calls = (work / "calls").read_text().splitlines()
    assert [call for call in calls if "align" in call] == [
        f"steps/align_fmllr.sh --nj 1 --cmd run.pl data/{name} {s5}/data/lang_nosp {s5}/exp/tri3b exp/tri3b_ali_{name}"
        for name in ("test_dev93", "test_eval92")
    ]
    assert (work / "conf/mfcc.conf").read_text() == "--use-energy=true\n"
    assert sorted(read_ctm(tmp_path / "out/test_eval92/phones.ctm")) == ["z-1", "z-2"]
    assert sorted(read_ctm(tmp_path / "out/train_si284/phones.ctm")) == sorted(aligned)
    assert not (s5 / "exp/tri3b_ali_test_dev93").exists()


def test_a_kaldi_that_fails_or_is_none_is_one_line(kaldi_root, data, tmp_path):
    (kaldi_root / "egs/wsj/s5/steps/train_deltas.sh").write_text("#!/bin/sh\necho no such gaussian >&2\nexit 1\n")
    arguments = ("--datadir", "data", "--kaldi_root")
    result = run("speechocean762/local/train_tri3b.sh", *arguments, kaldi_root, cwd=tmp_path)
    assert result.returncode == 1
    assert "no such gaussian" in result.stderr
    assert f"Kaldi's steps/train_deltas.sh failed; its message is above, its logs are in {data}/kaldi/exp/tri1/log" in (
        result.stderr
    )
    (kaldi_root / "src/featbin/compute-mfcc-feats").unlink()
    for root, said in ((kaldi_root, "compile Kaldi"), (tmp_path / "data", "expected a Kaldi checkout")):
        result = run("speechocean762/local/train_tri3b.sh", *arguments, root, cwd=tmp_path)
        assert result.returncode == 1
        assert len([line for line in result.stderr.splitlines() if "error: " in line]) == 1
        assert said in result.stderr
