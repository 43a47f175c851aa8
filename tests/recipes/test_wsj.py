"""The WSJ recipe from made-up discs through all stages, as a lab with Kaldi runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.datadir import find_problems

TOP = Path(__file__).resolve().parents[2]
PHONES = {"SIL": ("SIL_NEXT", "SIL_END"), "AH": ("AH_NEXT", "AH_END"), "T": ("T_NEXT", "T_END")}
LOOPS = {"SIL": ("SIL_LOOP_0", "SIL_LOOP_1"), "AH": ("AH_LOOP_0", "AH_LOOP_1"), "T": ("T_LOOP_0", "T_LOOP_1")}
SETS = {"train_si284": ("train0", "train1"), "test_dev93": ("dev93",), "test_eval92": ("eval92",)}
COUNT = 6


def speak(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Samples that sound different for each phone, and the alignment's transition-ids by name."""
    sounds, states = [np.zeros(240)], []
    for phone in ["SIL", *rng.choice(["AH", "T", "SIL"], 8), "SIL"]:
        frames = int(rng.integers(6, 14))
        half = frames // 2
        for state, length in enumerate((half, frames - half)):
            states += [PHONES[phone][state], *[LOOPS[phone][state]] * (length - 1)]
        time = np.arange(160 * frames)
        noise = rng.normal(0, 1, len(time))
        sounds.append({"SIL": 5 * noise, "AH": 4000 * np.sin(time / 8) + 20 * noise, "T": 2500 * noise}[phone])
    return np.concatenate(sounds).clip(-32000, 32000).astype(np.int16), " ".join(states)


@pytest.fixture(scope="module")
def lab(wsj_tree, sphere_files, tiny_kaldi, tmp_path_factory) -> Path:
    """A folder with the discs and Kaldi's exp: tri3b for si284, and tri3b_ali_<set> for the others."""
    folder = tmp_path_factory.mktemp("lab")
    rng = np.random.default_rng(0)
    spoken = {utt: speak(rng) for name in wsj_tree.SETS for utt in wsj_tree.utterances(name, COUNT)}
    audio = {utterance: samples for utterance, (samples, _) in spoken.items()}
    wsj_tree.write(wsj_tree.files(sphere_files, audio, COUNT), folder, "discs")
    for name, parts in SETS.items():
        table = {utt: spoken[utt][1] for part in parts for utt in wsj_tree.utterances(part, COUNT)}
        model = "tri3b" if name == "train_si284" else f"tri3b_ali_{name}"
        tiny_kaldi.write_ali_dir(folder / "s5/exp" / model, [table])
    return folder


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Call the recipe from a folder."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = dict(os.environ, OMP_NUM_THREADS="1", PATH=path)
    return subprocess.run(
        [str(TOP / "egs/wsj/run.sh"), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=900
    )


PLACES = ("--expdir", "exp", "--datadir", "data", "--dumpdir", "dump", "--results_name", "none", "--nj", "1")
SMALL = "--conv_channels 4 --lstm_layers 1 --lstm_size 16 --vq_codebook_size 16 --vq_code_dim 8 --max_updates 20"
SMALL += " --batch_size 6 --validate_every 10 --checkpoint_every 10 --reestimation_start 4 --reestimation_until 12"
SMALL += " --reestimation_every 4"


RUN = "exp/bn_reest_lr-speaker_cmvn_seed1"


@pytest.fixture(scope="module")
def finished(lab) -> subprocess.CompletedProcess:
    """What the recipe printed, from the discs to the scores."""
    discs = ("--wsj0", "LDC93S6B", "--wsj1", "LDC94S13B", "--kaldi_exp", "s5/exp")
    result = run(*discs, *PLACES, "--cmvn", "speaker", "--train_options", SMALL, cwd=lab)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def test_the_discs_go_through_all_stages(lab, finished):
    report = json.loads((lab / "dump/report.json").read_text())
    for name, parts in SETS.items():
        assert find_problems(lab / "data" / name) == []
        assert report[name]["utterances"] == report[name]["utterances_given"] == 2 * COUNT * len(parts)
        assert report[name]["left_out"] == {}
        assert report[name]["dominated"] == []
        assert len((lab / "dump" / name / "cmvn.scp").read_text().splitlines()) == 2 * len(parts)
    for name in ("test_dev93", "test_eval92"):
        assert len((lab / f"{RUN}/decode_{name}/hyp.trn").read_text().splitlines()) == 2 * COUNT
    assert "WSJ, 24 training utterances, kaldi alignments" in (lab / "exp/RESULTS.md").read_text()
    assert not (TOP / "egs/wsj/results/none").exists()
    assert "train_si284: 24 utterances of 4 speakers, but whole discs have 37416" in finished.stderr


def test_scores_are_apart_for_dev_and_eval(lab, finished):
    scores = json.loads((lab / RUN / "scores.json").read_text())
    assert sorted(scores) == ["test_dev93", "test_eval92"]
    assert all(each["per"] >= 0 for each in scores.values())


def test_kaldi_directories_with_commands_and_segments_and_a_ctm_give_the_same_features(lab, finished):
    """The same utterances as commands, the development set as stretches of one recording, alignments in one file."""
    ctms = (lab / "data" / name / "phones.ctm" for name in SETS)
    (lab / "phones.ctm").write_text("".join(ctm.read_text() for ctm in ctms))
    for name in SETS:
        source, target = lab / "data" / name, lab / "s5/data" / name
        target.mkdir(parents=True)
        for file in ("text", "utt2spk", "spk2utt"):
            (target / file).write_text((source / file).read_text())
        lines = [line.split() for line in (source / "wav.scp").read_text().splitlines()]
        (target / "wav.scp").write_text("".join(f"{utterance} cat {path} |\n" for utterance, path in lines))
        if name == "test_dev93":
            audio = [read_audio(path).astype(np.int16) for _, path in lines]
            soundfile.write(target / "all.wav", np.concatenate(audio), 16000)
            ends = np.cumsum([0, *map(len, audio)]) / 16000
            (target / "wav.scp").write_text(f"all {target}/all.wav\n")
            segments = (
                f"{utterance} all {start} {end}\n"
                for (utterance, _), start, end in zip(lines, ends[:-1], ends[1:], strict=True)
            )
            (target / "segments").write_text("".join(segments))
    stages = ("--data", "s5/data", "--ctm", "phones.ctm", "--stop_stage", "2", "--nj", "1")
    places = ("--expdir", "exp2", "--datadir", "data2", "--dumpdir", "dump2")
    result = run(*stages, *places, cwd=lab)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (lab / "data2/alignment_source").read_text() == "ctm\n"
    # They are of no size of WSJ's: the name is that of the folder above s5/data.
    assert (lab / "data2/corpus").read_text() == f"{lab.name}\n"
    for name in SETS:
        for file in ("utt2num_frames", "phones.ark", "feats.1.ark"):
            assert (lab / "dump2" / name / file).read_bytes() == (lab / "dump" / name / file).read_bytes()


def data_directories(folder: Path, utterances: int) -> Path:
    """Data directories in shape alone: of nothing but silence, without alignments."""
    soundfile.write(folder / "silence.wav", np.zeros(1600, np.int16), 16000)
    for name, count in {"train_si284": utterances, "test_dev93": 1, "test_eval92": 1}.items():
        target = folder / "data" / name
        target.mkdir(parents=True)
        ids = [f"{name}-{number:05}" for number in range(count)]
        lists = {"wav.scp": f"{folder}/silence.wav", "text": "a", "utt2spk": name}
        for file, value in lists.items():
            (target / file).write_text("".join(f"{utterance} {value}\n" for utterance in ids))
        (target / "spk2utt").write_text(f"{name} {' '.join(ids)}\n")
    return folder / "data"


@pytest.mark.parametrize(
    ("utterances", "options", "expected"),
    [
        (3, (), "{folder}"),
        (37416, (), "WSJ"),
        (3, ("--corpus", "Night talks, vol. 1"), "Night talks, vol. 1"),
    ],
)
def test_results_are_called_after_the_corpus_that_was_given(tmp_path, utterances, options, expected):
    """Stage 0 keeps the name; a later call without the data names results and their folder by it."""
    data = data_directories(tmp_path, utterances)
    result = run("--data", str(data), *options, "--stop_stage", "0", "--datadir", "given", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    script = f"datadir=given train_set=train_si284 corpus=WSJ data=''; . {TOP}/utils/speech.sh; name_results; "
    script += 'echo "$results"; echo "$data_label"'
    said = subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    folder, label = said.stdout.splitlines()
    name = expected.format(folder=tmp_path.name)
    assert label == f"{name}, {utterances} training utterances, unknown alignments"
    kept = f"{utterances}utt-unknown"
    assert Path(folder).name == {"WSJ": kept, "Night talks, vol. 1": f"Night_talks__vol._1-{kept}"}.get(
        name, f"{name}-{kept}"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--wsj0", "LDC93S6B"), "--wsj0 and --wsj1 go together"),
        (("--wsj0", "LDC93S6B", "--wsj1", "LDC94S13B", "--data", "mini"), "two ways to say the same"),
        (("--wsj0", "LDC94S13B", "--wsj1", "LDC93S6B"), "LDC94S13B: has the discs of WSJ1, not of WSJ0"),
        (("--wsj0", "s5", "--wsj1", "LDC94S13B"), "s5: has no WSJ discs"),
        ((), "--wsj0 DIR --wsj1 DIR"),
    ],
)
def test_bad_options_end_with_one_line(lab, arguments, said):
    result = run(*arguments, "--stop_stage", "0", "--datadir", "nothing", cwd=lab)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (lab / "nothing").exists()


def test_an_exp_of_another_corpus_is_told_apart(lab, tiny_kaldi, finished):
    tiny_kaldi.write_ali_dir(lab / "other/exp/tri3b_ali_train", [{"spk1-0001": "T_NEXT T_END"}])
    stages = ("--data", "data", "--kaldi_exp", "other/exp", "--stage", "1", "--stop_stage", "1", *PLACES)
    result = run(*stages, cwd=lab)
    assert result.returncode == 1
    assert "none of its utterances is in" in result.stderr
