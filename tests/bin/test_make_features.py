"""vqbn-make-features (stage 2)."""

import errno
import json
import os
import shutil

import kaldiio
import numpy as np
import pytest
import soundfile

from vqbn.bin import import_alignments, make_features
from vqbn.bin.make_features import main
from vqbn.files import locked
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.cmvn import accumulate, read_cmvn, read_speaker_cmvn
from vqbn.kaldi.deltas import add_deltas
from vqbn.kaldi.features import log_mel

RATE = 16000
FRAMES = 30


def write_set(folder, utterances, phones=("SIL", "AH", "AH", "T")):
    """A data directory with half-noise audio of 30 frames per utterance, and an alignment of those frames."""
    (folder / "wav").mkdir(parents=True)
    rng = np.random.default_rng(len(utterances))
    for utterance in utterances:
        samples = rng.integers(-3000, 3000, 400 + 160 * (FRAMES - 1)).astype(np.int16)
        soundfile.write(folder / f"wav/{utterance}.wav", samples, RATE)
    (folder / "wav.scp").write_text("".join(f"{utterance} {folder}/wav/{utterance}.wav\n" for utterance in utterances))
    (folder / "text").write_text("".join(f"{utterance} A T\n" for utterance in utterances))
    (folder / "utt2spk").write_text("".join(f"{utterance} {utterance[0]}\n" for utterance in utterances))
    starts = (0.0, 0.1, 0.15, 0.2)
    ends = (0.1, 0.15, 0.2, 0.3)
    (folder / "phones.ctm").write_text(
        "".join(
            f"{utterance} 1 {start:.2f} {end - start:.2f} {phone}\n"
            for utterance in utterances
            for start, end, phone in zip(starts, ends, phones, strict=True)
        )
    )
    return folder


@pytest.fixture
def corpus(tmp_path):
    """Sets train (24 utterances, 3 parts) and dev (5)."""
    write_set(tmp_path / "data/train", [f"t{number:02}" for number in range(24)])
    write_set(tmp_path / "data/dev", [f"d{number}" for number in range(5)])
    return tmp_path


@pytest.fixture
def run(corpus):
    """Run the stage on the corpus in this process."""

    def call(*options, sets=("train", "dev")):
        data = [word for name in sets for word in ("--data", str(corpus / "data" / name))]
        return main([*data, "--out", str(corpus / "dump"), "--nj", "1", *options])

    return call


def one_error(capsys):
    """The single line that the command printed to stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("vqbn-make-features: error: ")
    return lines[0]


def contents(folder):
    """Every file below a folder, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def replace_line(path, number, line):
    """Put another line, or none, in place of one; lines count from 1."""
    lines = path.read_text().splitlines(keepends=True)
    lines[number - 1 : number] = [line] if line else []
    path.write_text("".join(lines))


def test_features_phones_tokens_and_statistics(run, corpus):
    assert run() == 0
    dump = corpus / "dump"
    assert (dump / "tokens.txt").read_text() == "<blank> 0\nAH 1\nSIL 2\nT 3\n"
    features, phones = read_scp(dump / "train/feats.scp"), read_scp(dump / "train/phones.scp")
    assert list(features) == list(phones) == [f"t{number:02}" for number in range(24)]
    audio = read_audio(corpus / "data/train/wav/t17.wav")
    np.testing.assert_array_equal(features["t17"], log_mel(audio))
    np.testing.assert_array_equal(phones["t17"], [2, 10, 1, 5, 1, 5, 3, 10])
    assert phones["t17"].dtype == np.int32
    assert (dump / "dev/utt2num_frames").read_text() == "".join(f"d{number} {FRAMES}\n" for number in range(5))
    assert (dump / "dev/utt2spk").read_text() == "".join(f"d{number} d\n" for number in range(5))
    cmvn = read_cmvn(dump / "cmvn.ark", dims=243)
    np.testing.assert_allclose(cmvn.stats, accumulate(map(add_deltas, features.values())).stats)
    report = json.loads((dump / "report.json").read_text())
    assert report["train"]["frames"] == 24 * FRAMES
    assert report["dev"]["by_phone"]["AH"]["mean_frames"] == 5.0
    assert "AH has 33.3% of the frames" in (dump / "report.txt").read_text()


def test_statistics_of_each_speaker_where_asked(run, corpus):
    for name in ("train", "dev"):
        path = corpus / "data" / name / "utt2spk"
        ids = [line.split()[0] for line in path.read_text().splitlines()]
        path.write_text("".join(f"{utterance} {utterance[:2]}\n" for utterance in ids))
    assert run() == 0
    plain = contents(corpus / "dump")
    assert run("--cmvn", "speaker") == 0
    added = contents(corpus / "dump").keys() - plain.keys()
    assert added == {f"{name}/cmvn.{kind}" for name in ("train", "dev") for kind in ("ark", "scp")}
    assert {name: contents(corpus / "dump")[name] for name in plain} == plain
    break_audio(corpus, "phones")  # t07 is left out, and enters no statistics
    assert run("--cmvn", "speaker") == 0
    for name, speakers in (("train", ["t0", "t1", "t2"]), ("dev", ["d0", "d1", "d2", "d3", "d4"])):
        features = read_scp(corpus / "dump" / name / "feats.scp")
        sums = read_speaker_cmvn(corpus / "dump" / name / "cmvn.scp", dims=243)
        assert list(sums) == speakers
        for speaker, cmvn in sums.items():
            own = [add_deltas(x) for utterance, x in features.items() if utterance.startswith(speaker)]
            np.testing.assert_allclose(cmvn.stats, accumulate(own).stats)
    assert read_speaker_cmvn(corpus / "dump/train/cmvn.scp")["t0"].frames == 9 * FRAMES
    assert run("--cmvn", "global") == 0
    assert not list(corpus.glob("dump/*/cmvn.*"))


def test_several_processes_and_another_directory_give_the_same(run, corpus, tmp_path, monkeypatch):
    assert run() == 0
    before = contents(corpus / "dump")
    shutil.rmtree(corpus / "dump")
    monkeypatch.chdir(corpus)
    assert main(["--data", "data/dev", "--data", "data/train/", "--nj", "2"]) == 0
    after = contents(corpus / "dump")
    assert after.keys() == before.keys()
    for name in before:
        if name.endswith((".ark", ".scp", "tokens.txt", "utt2spk")):
            assert after[name] == before[name], name


def test_a_second_run_makes_nothing_again_and_changes_nothing(run, corpus, monkeypatch):
    assert run() == 0
    before = contents(corpus / "dump")
    monkeypatch.setattr(make_features, "make_part", lambda part: pytest.fail("made again"))
    assert run() == 0
    assert contents(corpus / "dump") == before


def test_a_stopped_run_goes_on_where_it_was(run, corpus, monkeypatch):
    assert run() == 0
    whole = contents(corpus / "dump")
    shutil.rmtree(corpus / "dump")
    make_part, made = make_features.make_part, []

    def stop_at_the_third(part):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append((part.folder.name, part.number))
        return make_part(part)

    monkeypatch.setattr(make_features, "make_part", stop_at_the_third)
    assert run() == 130
    assert not (corpus / "dump/tokens.txt").exists()
    monkeypatch.setattr(make_features, "make_part", lambda part: made.append(part.folder.name) or make_part(part))
    assert run() == 0
    assert made == [("train", 1), ("train", 2), "train", "dev"]
    assert contents(corpus / "dump") == whole


def test_a_folder_that_another_process_writes_is_left_alone(run, corpus, capsys):
    with locked(corpus / "dump"):
        assert run() == 1
        assert contents(corpus / "dump").keys() == {".lock"}
    assert f"{corpus / 'dump'}: in use by " in one_error(capsys)
    assert run() == 0
    assert not (corpus / "dump/.lock").exists()


def test_a_changed_file_is_made_again(run, corpus):
    assert run() == 0
    samples = np.full(400 + 160 * (FRAMES - 1), 7, np.int16)
    soundfile.write(corpus / "data/dev/wav/d3.wav", samples, RATE)
    assert run() == 0
    np.testing.assert_array_equal(read_scp(corpus / "dump/dev/feats.scp")["d3"], log_mel(samples.astype(np.float32)))


def break_audio(corpus, kind):
    """Damage one utterance, t07, in one of the ways that leave only it out; give what is said about it."""
    train = corpus / "data/train"
    wav = train / "wav/t07.wav"
    samples = np.ones(400 + 160 * (FRAMES - 1), np.int16)
    if kind == "missing":
        wav.unlink()
    elif kind == "empty":
        wav.write_bytes(b"")
    elif kind == "truncated":
        os.truncate(wav, 3000)
    elif kind == "raw":
        wav = wav.replace(train / "wav/t07.raw")
        wav.write_bytes(samples.tobytes())
        replace_line(train / "wav.scp", 8, f"t07 {wav}\n")
    elif kind == "not audio":
        wav.write_text("not audio at all, but long enough to look at")
    elif kind == "short":
        soundfile.write(wav, samples[:399], RATE)
    elif kind == "transcript":
        replace_line(train / "text", 8, "t07\n")
    elif kind == "length":
        soundfile.write(wav, np.tile(samples, 2), RATE)
    elif kind == "phones":
        ctm = (train / "phones.ctm").read_text()
        (train / "phones.ctm").write_text("".join(line for line in ctm.splitlines(True) if not line.startswith("t07")))
    return {
        "missing": "t07.wav: can't be read: No such file",
        "empty": "t07.wav: the audio file is empty",
        "truncated": "t07.wav: cut short",
        "raw": "t07.raw: headerless audio",
        "not audio": "t07.wav: not readable as audio",
        "short": "t07.wav: shorter than one window",
        "transcript": "text: the transcript is empty",
        "length": "61 frames of features, but the alignment has 30",
        "phones": "no alignment",
    }[kind]


KINDS = ["missing", "empty", "truncated", "raw", "not audio", "short", "transcript", "length", "phones"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_utterance_is_named_counted_and_left_out(run, corpus, caplog, capsys, kind):
    said = break_audio(corpus, kind)
    assert run(sets=["train"]) == 0
    assert "left out: t07: " in caplog.text
    features = read_scp(corpus / "dump/train/feats.scp")
    assert len(features) == 23
    assert "t07" not in features
    assert "t07" not in read_scp(corpus / "dump/train/phones.scp")
    entry = json.loads((corpus / "dump/report.json").read_text())["train"]
    assert list(entry["left_out"]) == ["t07"]
    assert said in entry["left_out"]["t07"]
    assert (entry["utterances_given"], entry["utterances"]) == (24, 23)
    np.testing.assert_allclose(read_cmvn(corpus / "dump/cmvn.ark").frames, 23 * FRAMES)
    limit = "--max_unaligned" if kind == "phones" else "--max_bad"
    assert run(limit, "0.01", sets=["train"]) == 1
    assert f"1 of 24 utterances are unusable, more than 1% ({limit})" in one_error(capsys)


def test_stereo_and_other_rates_are_used_and_said_once_with_their_counts(run, corpus, caplog):
    caplog.set_level("INFO")
    assert run() == 0
    before = contents(corpus / "dump")
    assert "channels" not in caplog.text
    assert "resampled" not in caplog.text
    shutil.rmtree(corpus / "dump")
    for name in ("train/wav/t03", "train/wav/t20", "dev/wav/d1"):
        samples, _ = soundfile.read(corpus / f"data/{name}.wav", dtype="int16")
        soundfile.write(corpus / f"data/{name}.wav", np.stack([samples, samples[::-1]], 1), RATE)
    for _ in range(2):  # what is there already is said too
        caplog.clear()
        assert run() == 0
        assert sum("3 utterances are of recordings with several channels" in line for line in caplog.messages) == 1
    assert {name: content for name, content in contents(corpus / "dump").items() if name.endswith("ark")} == {
        name: content for name, content in before.items() if name.endswith("ark")
    }
    samples, _ = soundfile.read(corpus / "data/dev/wav/d2.wav", dtype="int16")
    soundfile.write(corpus / "data/dev/wav/d2.wav", samples.repeat(3), 3 * RATE)
    caplog.clear()
    assert run() == 0
    assert sum("resampled 1 utterances to 16000 Hz: 1 from 48000 Hz" in line for line in caplog.messages) == 1
    assert read_scp(corpus / "dump/dev/feats.scp")["d2"].shape == (FRAMES, 81)


def test_the_channel_is_that_of_the_list_or_of_the_option(run, corpus, caplog):
    assert run() == 0
    first = read_scp(corpus / "dump/dev/feats.scp")["d1"]
    samples = read_audio(corpus / "data/dev/wav/d1.wav").astype(np.int16)
    soundfile.write(corpus / "data/dev/wav/d1.wav", np.stack([samples[::-1], samples], 1), RATE)
    assert run("--channel", "2") == 0
    np.testing.assert_array_equal(read_scp(corpus / "dump/dev/feats.scp")["d1"], first)
    (corpus / "data/dev/reco2file_and_channel").write_text("d1 d1 A\n")
    assert run("--channel", "2") == 0
    assert (read_scp(corpus / "dump/dev/feats.scp")["d1"] != first).any()
    (corpus / "data/dev/reco2file_and_channel").write_text("d1 d1 B\n")
    assert run() == 0
    np.testing.assert_array_equal(read_scp(corpus / "dump/dev/feats.scp")["d1"], first)
    assert "several channels" not in caplog.text


def test_sphere_files_that_are_cut_or_lie_are_named_counted_and_left_out(run, corpus, sphere_files, caplog):
    train = corpus / "data/train"
    samples = {name: read_audio(train / f"wav/{name}.wav").astype(np.int16) for name in ("t01", "t02", "t03", "t04")}
    shortened = sphere_files.sphere(samples["t02"], "shorten")
    for name, content in (
        ("t01", sphere_files.sphere(samples["t01"], "shorten")),
        ("t02", shortened[: len(shortened) // 2]),
        ("t03", sphere_files.sphere(samples["t03"])[:3000]),
        ("t04", sphere_files.sphere(samples["t04"], count=9000)),
    ):
        (train / f"wav/{name}.wv1").write_bytes(content)
        replace_line(train / "wav.scp", int(name[1:]) + 1, f"{name} {train}/wav/{name}.wv1\n")
    assert run("--max_bad", "0.2", sets=["train"]) == 0
    entry = json.loads((corpus / "dump/report.json").read_text())["train"]
    assert (entry["utterances"], list(entry["left_out"])) == (21, ["t02", "t03", "t04"])
    assert "t04.wv1: cut short: 5040 samples, the header says 9000" in entry["left_out"]["t04"]
    for name in ("t02", "t03", "t04"):
        assert sum(f"left out: {name}: " in line for line in caplog.messages) == 1
    np.testing.assert_array_equal(
        read_scp(corpus / "dump/train/feats.scp")["t01"], log_mel(samples["t01"].astype(np.float32))
    )


def test_the_report_says_where_one_phone_fills_an_utterance(run, corpus, caplog):
    caplog.set_level("INFO")
    assert run() == 0
    assert "half" not in (corpus / "dump/report.txt").read_text()
    ctm = corpus / "data/train/phones.ctm"
    kept = "".join(line for line in ctm.read_text().splitlines(True) if not line.startswith("t05"))
    ctm.write_text(kept + "t05 1 0.00 0.10 SIL\nt05 1 0.10 0.16 AH\nt05 1 0.26 0.04 T\n")
    assert run() == 0
    said = "one phone covers half or more of 1 utterances (4.2%): the alignment is bad; the first: t05"
    assert said in (corpus / "dump/report.txt").read_text()
    assert said in caplog.text


def test_phones_that_training_never_saw_are_left_out(run, corpus, caplog):
    replace_line(corpus / "data/dev/phones.ctm", 8, "d1 1 0.20 0.10 ZH\n")
    assert run("--max_bad", "0.2") == 0
    assert "left out: d1: unknown phones: ZH" in caplog.text
    assert list(read_scp(corpus / "dump/dev/feats.scp")) == ["d0", "d2", "d3", "d4"]


def test_a_set_can_be_added_later(run, corpus):
    assert run(sets=["train"]) == 0
    before = contents(corpus / "dump")
    assert run(sets=["dev"]) == 0
    after = contents(corpus / "dump")
    assert {name: after[name] for name in before if "report" not in name} == {
        name: content for name, content in before.items() if "report" not in name
    }
    assert list(json.loads(after["report.json"])) == ["train", "dev"]


def test_new_phones_in_training_need_the_other_sets_too(run, corpus, capsys):
    assert run() == 0
    tokens = (corpus / "dump/tokens.txt").read_bytes()
    replace_line(corpus / "data/train/phones.ctm", 4, "t00 1 0.20 0.10 B\n")
    assert run(sets=["train"]) == 1
    assert "dump/dev: was made with other phones" in one_error(capsys)
    assert (corpus / "dump/tokens.txt").read_bytes() == tokens
    assert run() == 0
    np.testing.assert_array_equal(read_scp(corpus / "dump/dev/phones.scp")["d0"], [3, 10, 1, 5, 1, 5, 4, 10])


@pytest.mark.parametrize(
    ("name", "number", "line", "message"),
    [
        ("text", 3, "t01 A T\n", "train/text:3: 't01' is here twice"),
        ("wav.scp", 1, "t99 x.wav\n", "train/wav.scp:2: not sorted"),
        ("utt2spk", 24, "t99 t\n", "train/utt2spk:24: unknown utterance 't99'"),
        ("phones.ctm", 2, "t00 1 0.10 AH\n", "train/phones.ctm:2: found"),
    ],
)
def test_a_bad_list_ends_the_run_before_any_work(run, corpus, capsys, name, number, line, message):
    replace_line(corpus / "data/train" / name, number, line)
    assert run() == 1
    assert message in one_error(capsys)
    assert not (corpus / "dump").exists()


def test_what_must_be_there_is_named(run, corpus, capsys):
    assert run(sets=["dev"]) == 1
    assert "--train_set train: no --data directory has that name" in one_error(capsys)
    assert run(sets=["train", "train"]) == 1
    assert "two data directories are named 'train'" in one_error(capsys)
    assert run(sets=["test"]) == 1
    assert "data/test: no such folder" in one_error(capsys)
    (corpus / "data/dev/phones.ctm").unlink()
    assert run() == 1
    assert "dev/phones.ctm: no such file; stage 1" in one_error(capsys)


def test_a_full_disk_is_one_line_and_harms_nothing(run, corpus, capsys, monkeypatch):
    assert run() == 0
    before = contents(corpus / "dump")
    soundfile.write(corpus / "data/dev/wav/d3.wav", np.ones(5000, np.int16), RATE)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kaldiio, "save_ark", full)
    capsys.readouterr()
    assert run() == 1
    line = one_error(capsys)
    assert "dump/dev/feats.1.ark: No space left on device" in line
    assert contents(corpus / "dump") == before


def test_no_permission_is_one_line(run, corpus, capsys, monkeypatch):
    if os.geteuid() == 0:  # whom no permission stops

        def refuse(source, target):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))

        monkeypatch.setattr(os, "replace", refuse)
    else:
        (corpus / "dump").mkdir(mode=0o500)
    assert run() == 1
    line = one_error(capsys)
    assert "dump" in line
    assert "Permission denied" in line
    assert not [path for path in corpus.rglob("dump/**/*") if path.is_file()]


def test_real_utterances_equal_kaldis_features_and_statistics(real_data, tmp_path):
    corpus = real_data / "speechocean762"
    feats = corpus / "kaldi/expected/feats"
    chosen = (feats / "utts").read_text().split()
    train = tmp_path / "train"
    train.mkdir()
    (train / "text").write_text("".join(f"{utterance} HELLO\n" for utterance in chosen))
    (train / "utt2spk").write_text("".join(f"{utterance} {utterance.split('-')[0]}\n" for utterance in chosen))
    shutil.copy(feats / "wav.scp", train / "wav.scp")
    assert import_alignments.main(["--kaldi_exp", str(corpus / "kaldi/exp"), "--set", str(train)]) == 0
    out = tmp_path / "dump"
    options = ["--audio_root", str(feats), "--out", str(out), "--nj", "1", "--cmvn", "speaker"]
    assert main(["--data", str(train), *options]) == 0
    features = read_scp(out / "train/feats.scp")
    assert list(features) == chosen
    expected = dict(kaldiio.load_ark(str(feats / "fbank80e.ark")))
    difference = np.concatenate([np.abs(features[key] - expected[key]).ravel() for key in chosen])
    assert difference.mean() < 1e-4
    assert np.quantile(difference, 0.999) < 5e-3
    ours, kaldis = read_cmvn(out / "cmvn.ark", dims=243), read_cmvn(feats / "cmvn_global_deltas.mat", dims=243)
    np.testing.assert_allclose(ours.stats[:, :81], kaldis.stats[:, :81], rtol=1e-5)
    np.testing.assert_allclose(ours.stats[1, 81:], kaldis.stats[1, 81:], rtol=1e-4)
    for key in chosen:
        runs = read_scp(out / "train/phones.scp")[key].reshape(-1, 2)
        assert runs[:, 1].sum() == len(features[key])
    speakers = read_speaker_cmvn(out / "train/cmvn.scp", dims=243)
    for speaker, stats in kaldiio.load_ark(str(feats / "cmvn_per_spk.ark")):
        np.testing.assert_allclose(speakers[speaker].stats[:, :81], stats[:, :81], rtol=1e-5)
        assert speakers[speaker].frames == stats[0, 81]


def test_the_silence_of_the_training_set_goes_with_the_features(corpus, run, caplog):
    caplog.set_level("INFO")
    assert run() == 0
    assert "silence: SIL" in caplog.text
    assert not (corpus / "dump/silence_phones.txt").exists()
    (corpus / "data/train/silence_phones.txt").write_text("SIL\nT\nZH\n")
    assert run() == 0
    assert (corpus / "dump/silence_phones.txt").read_text() == "SIL\nT\n"
    for name in ("train", "dev"):
        ctm = corpus / "data" / name / "phones.ctm"
        ctm.write_text(ctm.read_text().replace("SIL", "pau").replace("T", "D"))
    caplog.clear()
    assert run() == 0
    assert "no phone is known as silence" in caplog.text
    assert not (corpus / "dump/silence_phones.txt").exists()
