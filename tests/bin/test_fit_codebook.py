"""vqbn-fit-codebook on files, and on what models hand their bottlenecks."""

import json

import numpy as np
import pytest
import torch

from vqbn import VQBottleneck
from vqbn.bin.fit_codebook import main
from vqbn.corpora.alphabet import Alphabet
from vqbn.corpora.image_source import Source
from vqbn.corpora.line_corpus import Line
from vqbn.corpora.packed_images import write_packed as write_images
from vqbn.corpora.packed_lines import write_packed as write_lines
from vqbn.runs.checkpoint import load
from vqbn.runs.config import parse_arguments
from vqbn.tasks.handwriting.model import build_line_autoencoder
from vqbn.tasks.handwriting.task import HANDWRITING
from vqbn.tasks.images.model import build_autoencoder
from vqbn.tasks.images.task import IMAGES
from vqbn.tasks.recognition.task import RECOGNITION


def test_stored_features_give_a_codebook_that_a_bottleneck_takes(speech_dump, tmp_path, caplog):
    out = tmp_path / "units.npz"
    with caplog.at_level("INFO"):
        assert main([str(speech_dump / "train"), str(out), "--codebook_size=12", "--held_out=0.2"]) == 0
    with np.load(out) as found:
        codebook, counts = found["codebook"], found["counts"]
    assert codebook.shape == (12, 21)
    record = json.loads(out.with_suffix(".json").read_text())
    assert counts.sum() == record["held_out"]["vectors"]
    assert (counts > 0).sum() == record["held_out"]["used_codes"]
    # Four phones far apart: what is left is little, also on utterances that were not clustered.
    assert record["fitted"]["error_share"] <= record["held_out"]["error_share"] < 0.3
    assert f"perplexity {record['held_out']['perplexity']:.1f}" in caplog.text
    bottleneck = VQBottleneck.from_codebook(codebook).eval()
    assert bottleneck(torch.randn(2, 5, 21)).indices.shape == (2, 5, 1)


def test_the_seed_and_another_set_to_hold_out_are_taken(speech_dump, tmp_path):
    options = [str(speech_dump / "train" / "feats.scp"), "--held_out_data", str(speech_dump / "dev" / "feats.ark")]
    options += ["--codebook_size=8", "--num_codebooks=3", "--init=random", "--vectors=60", "--iterations=5"]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert main([*options, str(tmp_path / f"{name}.npz"), f"--seed={seed}"]) == 0
    a, b, c = (np.load(tmp_path / f"{name}.npz")["codebook"] for name in "abc")
    assert a.shape == (3, 8, 7)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["fitted"]["vectors"] == 60
    assert record["held_out_data"].endswith("feats.ark")


@pytest.mark.parametrize("variant", ["bn_reest_lr", "none"])
def test_a_recogniser_gives_the_vectors_that_it_quantises(variant, trained_runs, speech_dump, tmp_path):
    checkpoint = trained_runs / f"{variant}_seed1" / "checkpoints" / "last.ckpt"
    out = tmp_path / "ceiling.npz"
    options = [str(speech_dump / "train"), str(out), "--checkpoint", str(checkpoint)]
    options += ["--held_out_data", str(speech_dump / "dev")]
    if variant == "none":
        options.append("--codebook_size=16")
    assert main(options) == 0
    assert np.load(out)["codebook"].shape == (16, 8)
    record = json.loads(out.with_suffix(".json").read_text())
    assert ("own_codebook" in record) == (variant != "none")
    if variant != "none":
        # The model's codewords were trained for another end; k-means is there for this error alone.
        assert record["held_out"]["error"] < record["own_codebook"]["error"]
        assert record["own_codebook"]["vectors"] == record["held_out"]["vectors"]


def test_a_recognisers_vectors_are_those_of_its_utterances(trained_runs, speech_dump):
    loaded = load(trained_runs / "bn_reest_lr_seed1" / "checkpoints" / "best.ckpt", RECOGNITION)
    found = dict(RECOGNITION.latents(loaded, speech_dump / "dev", "cpu"))
    frames = dict(line.split() for line in (speech_dump / "dev" / "utt2num_frames").read_text().splitlines())
    assert {utt: len(x) for utt, x in found.items()} == {utt: -(-int(n) // 3) for utt, n in frames.items()}
    assert all(x.shape[1] == 8 for x in found.values())


def save(path, kind, config, model, **about):
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"vqbn_format": 1, kind: {"config": config, "update": 3, **about}, "state_dict": state}, path)


def test_an_image_autoencoder_gives_its_latents(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    write_images(tmp_path / "data", {"train": images}, Source("noise", False, {}))
    options = "--images d --expdir e --channels 8 --residual_blocks 1 --residual_channels 4 --vq_codebook_size 8"
    options += " --vq_code_dim 6 --vq_num_codebooks 2 --vq_normalization batch"
    config = parse_arguments(options.split(), "test", "", IMAGES.keys)
    torch.manual_seed(0)
    model = build_autoencoder(config).eval()
    save(tmp_path / "last.ckpt", "image_autoencoder", config, model, height=8, width=8)
    loaded = load(tmp_path / "last.ckpt", IMAGES)
    found = list(IMAGES.latents(loaded, tmp_path / "data" / "train.npy", "cpu"))
    assert len(found) == 12
    with torch.no_grad():
        one = model.bottleneck.latents(model.encode(torch.from_numpy(images[5:6]).permute(0, 3, 1, 2)))
    np.testing.assert_allclose(found[5][1], one.flatten(1), rtol=1e-4, atol=1e-6)
    arguments = [str(tmp_path / "data" / "train.npy"), str(tmp_path / "x.npz"), f"--checkpoint={tmp_path}/last.ckpt"]
    assert main(arguments) == 0
    assert np.load(tmp_path / "x.npz")["codebook"].shape == (2, 8, 3)


def test_a_handwriting_autoencoder_gives_its_latents(tmp_path):
    rng = np.random.default_rng(0)
    widths = (40, 24, 33)
    lines = [Line(f"line{n}", "", "x", "x/p", "a") for n in range(3)]
    (tmp_path / "dump" / "train").mkdir(parents=True)
    write_lines(tmp_path / "dump" / "train", lines, [rng.integers(0, 4, (w, 32), dtype=np.uint8) for w in widths], None)
    Alphabet.of(["a b"]).write(tmp_path / "dump" / "alphabet.json")
    (tmp_path / "dump" / "info.json").write_text('{"height": 32, "grey_levels": 4}')
    options = "--dump d --expdir e --conv_channels 2 --lstm_size 4 --mixer_size 6 --pixelcnn_channels 4"
    options += " --pixelcnn_layers 2 --vq_codebook_size 4 --vq_code_dim 6"
    config = parse_arguments(options.split(), "test", "", HANDWRITING.keys)
    torch.manual_seed(0)
    save(tmp_path / "last.ckpt", "line_autoencoder", config, build_line_autoencoder(config, 32, 4), height=32, levels=4)
    loaded = load(tmp_path / "last.ckpt", HANDWRITING)
    found = dict(HANDWRITING.latents(loaded, tmp_path / "dump" / "train", "cpu"))
    assert {name: x.shape for name, x in found.items()} == {f"line{n}": (-(-w // 4), 6) for n, w in enumerate(widths)}


def test_errors_are_one_line(speech_dump, tmp_path, capsys):
    train, out = str(speech_dump / "train"), str(tmp_path / "x.npz")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    torch.save({"vqbn_format": 9, "vqbn_version": "7.1", "recognizer": {}}, tmp_path / "newer.ckpt")
    for options, message in (
        ([train, out], "--codebook_size: expected"),
        ([train, "x.pt", "--codebook_size=2"], "x.pt: found another ending"),
        ([train, out, "--codebook_size=5000"], "--codebook_size: found 5000, but there are only"),
        ([str(tmp_path), out, "--codebook_size=2"], "has no feats.scp"),
        ([train, out, f"--checkpoint={tmp_path}/other.ckpt"], "a checkpoint of no task that there is"),
        ([train, out, f"--checkpoint={tmp_path}/newer.ckpt"], "format 9, written by vqbn 7.1; this is vqbn"),
        ([train, out, f"--checkpoint={tmp_path}/none.ckpt"], "no such checkpoint"),
    ):
        assert main(options) == 1
        error = capsys.readouterr().err.strip()
        assert message in error
        assert error.splitlines()[-1].startswith("vqbn-fit-codebook: error: ")
    assert not (tmp_path / "x.npz").exists()
