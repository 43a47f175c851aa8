"""vqbn-export and vqbn.load: the same features, the same outputs, and nothing of training that is needed."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

import vqbn
from vqbn.bin.export import main
from vqbn.corpora.alphabet import Alphabet
from vqbn.errors import InputError
from vqbn.kaldi.archive import write_archive
from vqbn.kaldi.cmvn import accumulate, write_cmvn
from vqbn.kaldi.deltas import add_deltas
from vqbn.kaldi.features import log_mel
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.nets.best_path import greedy_decode
from vqbn.runs.checkpoint import load_run
from vqbn.runs.config import parse_arguments, write_config
from vqbn.tasks import find_task
from vqbn.tasks.images.data import as_batch

SIZES = {
    "recognition": "--conv_channels 4 --lstm_layers 1 --lstm_size 8 --vq_codebook_size 16 --vq_code_dim 8",
    "images": "--channels 8 --residual_blocks 1 --residual_channels 4 --vq_codebook_size 8 --vq_code_dim 6 "
    "--vq_num_codebooks 2",
    "handwriting": "--conv_channels 2 --lstm_size 4 --mixer_size 6 --pixelcnn_channels 4 --pixelcnn_layers 2 "
    "--vq_codebook_size 4 --vq_code_dim 6",
}
TOKENS = ["<blank>", "AA", "S", "SIL"]


def save_run(expdir, name, data, more="", **about):
    """A run's folder with a model of fresh weights; returns it and the model."""
    task = find_task(name)
    argv = ["--images" if name == "images" else "--dump", str(data), "--expdir", str(expdir)]
    argv += [*SIZES[name].split(), *more.split(), "--vq_normalization", "batch"]
    config = parse_arguments(argv, "test", "", task.keys)
    write_config(expdir / "config.yaml", config)
    torch.manual_seed(0)
    model = task.build({"config": config, **about}).eval()
    state = {f"model.{key}": value for key, value in model.state_dict().items()}
    (expdir / "checkpoints").mkdir()
    contents = {"vqbn_format": 1, task.kind: {"config": config, "update": 7, **about}, "state_dict": state}
    torch.save(contents, expdir / "checkpoints/best.ckpt")
    return model


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A folder with recordings, their features as stage 2 leaves them in `dump`, and a recogniser's run and model."""
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    Tokens(TOKENS).write(folder / "dump/tokens.txt")
    features, phones = {}, {}
    for name, seconds in (("a", 0.7), ("b", 1.3)):
        samples = (3000 * rng.normal(size=int(16000 * seconds))).astype(np.int16)
        soundfile.write(folder / f"{name}.wav", samples, 16000)
        features[name] = log_mel(samples.astype(np.float32))
        phones[name] = np.array([1, len(features[name])], dtype=np.int32)
    write_archive(folder / "dump/dev", "feats", features)
    write_archive(folder / "dump/dev", "phones", phones)
    (folder / "dump/dev/utt2spk").write_text("a a\nb b\n")
    (folder / "dump/dev/utt2num_frames").write_text("".join(f"{name} {len(x)}\n" for name, x in features.items()))
    write_cmvn(folder / "dump/cmvn.ark", accumulate(add_deltas(x) for x in features.values()))
    save_run(folder / "bn_seed1", "recognition", folder / "dump", tokens=TOKENS, height=81)
    assert main([str(folder / "bn_seed1"), "--out", str(folder / "model"), "--license", "cc-by-4.0"]) == 0
    return folder


def test_a_recogniser_hears_in_files_what_it_heard_in_stage_2(speech):
    found = vqbn.load(speech / "model")
    trained = load_run(find_task("recognition"), speech / "bn_seed1").model
    dataset = open_set(speech / "dump", "dev", Tokens(TOKENS))
    for name in ("a", "b"):
        features = dataset.features(name)
        np.testing.assert_array_equal(found.features(speech / f"{name}.wav"), features)
        with torch.no_grad():
            output = trained(torch.from_numpy(features)[None])
        np.testing.assert_array_equal(found.units(speech / f"{name}.wav"), output.indices[0])
        said = found.recognize(speech / f"{name}.wav")
        tokens = greedy_decode(output.log_probs, torch.tensor([output.log_probs.shape[1]]))[0]
        assert [segment.token for segment in said.segments] == [TOKENS[token] for token in tokens]
        assert said.text == " ".join(TOKENS[token] for token in tokens)
        np.testing.assert_array_equal(said.units, output.indices[0])
        ends = [segment.start + segment.duration for segment in said.segments]
        assert all(end <= later.start + 1e-9 for end, later in zip(ends, said.segments[1:], strict=False))
        assert len(said.units) / found.units_per_second == pytest.approx(len(features) / 100, abs=0.03)


def test_samples_and_files_are_the_same(speech):
    found = vqbn.load(speech / "model")
    samples, rate = soundfile.read(speech / "a.wav", dtype="int16")
    for given in (samples, samples / 32768, (samples / 32768).astype(np.float32)):
        np.testing.assert_array_equal(found.units(given, rate), found.units(speech / "a.wav"))
    for given, rate, message in (
        (samples[:300], 16000, r"0\.019 s; expected at least 0\.025 s"),
        (samples, 8000, "8000 Hz; expected 16000"),
        (samples[None], 16000, "expected one channel"),
    ):
        with pytest.raises(InputError, match=message):
            found.units(given, rate)


def test_a_card_says_what_it_is(speech):
    text = (speech / "model/README.md").read_text()
    assert text.startswith("---\nlibrary_name: vqbn\nlicense: cc-by-4.0\n")
    assert 'vqbn.load("model")' in text
    # Nothing of the machine that it was made on.
    assert str(speech) not in text + (speech / "model/config.json").read_text()


def test_nothing_of_training_is_needed(speech):
    """In a process where the packages of training and of Kaldi's archives can't be imported."""
    script = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("lightning", "kaldiio", "configargparse", "yaml", "matplotlib", "tensorboard"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import vqbn
print(vqbn.load({str(speech / "model")!r}).units({str(speech / "a.wav")!r}).shape)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("(")


def test_images_and_lines_go_to_codes_and_back(tmp_path):
    rng = np.random.default_rng(0)
    model = save_run(tmp_path / "im_seed1", "images", "data", height=8, width=8)
    assert main([str(tmp_path / "im_seed1"), "--out", str(tmp_path / "im")]) == 0
    found, image = vqbn.load(tmp_path / "im"), rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    codes = found.units(image)
    with torch.no_grad():
        np.testing.assert_array_equal(codes, model.code(as_batch(image[None]))[0])
    assert found.reconstruct(codes).shape == (8, 8, 3)
    with pytest.raises(InputError, match=r"expected uint8 \(8, 8, 3\)"):
        found.units(image[:4])

    (tmp_path / "dump").mkdir()
    Alphabet.of(["a"]).write(tmp_path / "dump/alphabet.json")
    (tmp_path / "dump/info.json").write_text('{"height": 32, "grey_levels": 4, "binarize": "none"}')
    model = save_run(tmp_path / "hw_seed1", "handwriting", tmp_path / "dump", height=32, levels=4)
    assert main([str(tmp_path / "hw_seed1"), "--out", str(tmp_path / "hw")]) == 0
    found, line = vqbn.load(tmp_path / "hw"), rng.integers(0, 4, (42, 32), dtype=np.uint8)
    codes = found.units(line)
    with torch.no_grad():
        np.testing.assert_array_equal(codes, model(torch.from_numpy(line)[None]).indices[0])
    assert found.reconstruct(codes).shape == (4 * len(codes), 32)
    with pytest.raises(InputError, match="expected uint8"):
        found.units(line + 4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: (m / "config.json").unlink(), "config.json: can't be read"),
        (lambda m: (m / "config.json").write_text('{"library_name": "other"}'), "not that of a vqbn model"),
        (lambda m: change(m, format=9, vqbn_version="7.1"), "format 9, written by vqbn 7.1"),
        (lambda m: change(m, task="singing"), "task: found 'singing', expected one of"),
        (lambda m: change(m, model={}), "don't fit its config.json"),
        (lambda m: change(m, config={"vq_codebook_size": 5}), "don't fit its config.json"),
        (lambda m: change(m, front_end={}), "lack 'sample_rate'"),
        (lambda m: (m / "model.safetensors").unlink(), "missing or damaged"),
        (lambda m: (m / "model.safetensors").write_bytes(b"PKL" * 99), "missing or damaged"),
        (lambda m: (m / "model.safetensors").write_bytes((m / "model.safetensors").read_bytes()[:-99]), "damaged"),
    ],
)
def test_a_damaged_foreign_or_newer_folder_is_one_clear_error(speech, tmp_path, spoil, message):
    model = tmp_path / "model"
    model.mkdir()
    for file in (speech / "model").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    spoil(model)
    with pytest.raises(InputError, match=message) as error:
        vqbn.load(model)
    assert str(model) in str(error.value)


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_run_that_quantises_nothing_yet_is_not_given_away(speech, tmp_path, capsys):
    more = "--reestimation true --reestimation_start 9 --reestimation_until 9"
    save_run(tmp_path / "bn_seed1", "recognition", speech / "dump", more, tokens=TOKENS, height=81)
    assert main([str(tmp_path / "bn_seed1"), "--out", str(tmp_path / "model")]) == 1
    assert "from before the first clustering" in capsys.readouterr().err
    (tmp_path / "model").mkdir()
    (tmp_path / "model/thesis.tex").touch()
    assert main([str(speech / "bn_seed1"), "--out", str(tmp_path / "model")]) == 1
    assert "holds 'thesis.tex'" in capsys.readouterr().err
