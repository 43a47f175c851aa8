"""The image commands after training: reconstruct, score, report, encode, decode; in process, on a small model."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from vqbn import perplexity
from vqbn.bin import decode, encode, reconstruct, report, score
from vqbn.bin.train import main as train
from vqbn.corpora.image_source import Source
from vqbn.corpora.packed_images import write_packed
from vqbn.runs.checkpoint import load
from vqbn.runs.results import read_result
from vqbn.tasks.images.codes import read_codes
from vqbn.tasks.images.data import as_batch
from vqbn.tasks.images.folder import read_folder
from vqbn.tasks.images.task import IMAGES

OPTIONS = {
    "task": "images",
    "channels": 8,
    "residual_blocks": 1,
    "residual_channels": 4,
    "vq_codebook_size": 8,
    "vq_code_dim": 8,
    "vq_num_codebooks": 2,
    "vq_normalization": "batch",
    "vq_codebook_init": 0.5,
    "batch_size": 8,
    "max_updates": 12,
    "polyak_decay": 0.5,
    "validate_every": 4,
    "learning_rate": 0.01,
}


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (34, 4, 4, 3))
    return np.clip(colours.repeat(8, 1).repeat(8, 2) + rng.integers(-9, 10, (34, 32, 32, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def exp(images, tmp_path_factory):
    """A folder with `data`, and trained, reconstructed and scored runs of two variants in `exp` and `results`."""
    folder = tmp_path_factory.mktemp("recipe")
    sets = {"train": images[:20], "dev": images[20:25], "test": images[25:]}
    write_packed(folder / "data", sets, Source("squares", True, {}))
    for name, changes in (("vanilla-2x8_seed1", {"vq_normalization": "none"}), ("bn-2x8_seed1", {})):
        options = {"images": folder / "data", "expdir": folder / "exp" / name} | OPTIONS | changes
        assert train([f"--{key}={value}" for key, value in options.items()]) == 0
        run = ["--expdir", str(folder / "exp" / name)]
        assert decode.main([*run, "--images", str(folder / "data"), "--batch_size", "4"]) == 0
        label = ["--results", str(folder / "results" / "squares"), "--data_label", "squares (partial)"]
        assert score.main([*run, *label, "--command", "a command"]) == 0
    return folder


def checkpoint(exp):
    return exp / "exp" / "bn-2x8_seed1" / "checkpoints" / "best.ckpt"


def test_scores_are_exact_over_the_set(exp, images):
    run = exp / "exp" / "bn-2x8_seed1"
    scores = json.loads((run / "scores.json").read_text())["test"]
    model = load(checkpoint(exp), IMAGES).model
    nats, counts = 0.0, torch.zeros(2, 8)
    for image in images[25:]:
        with torch.no_grad():
            output = model(as_batch(image[None]))
        nats += float(output.nll.double().sum())
        for codebook in range(2):
            counts[codebook] += output.indices[..., codebook].flatten().bincount(minlength=8)
    bits = nats / images[25:].size / np.log(2)
    assert scores["reconstruction_bpd"] == pytest.approx(bits, rel=1e-6)
    # 64 latents with two codes of 3 bits for 3,072 dimensions.
    assert scores["uniform_nelbo"] == pytest.approx(bits + 64 * 2 * 3 / 3072, rel=1e-6)
    spent = perplexity(counts).log2().sum().item()
    assert scores["unigram_nelbo"] == pytest.approx(bits + 64 * spent / 3072, rel=1e-6)
    assert scores["codes_seen"] == 9 * 64 * 2
    again = exp / "again"
    shutil.copytree(run, again)
    assert decode.main(["--expdir", str(again), "--images", str(exp / "data"), "--batch_size", "1"]) == 0
    assert score.main(["--expdir", str(again)]) == 0
    for key, value in json.loads((again / "scores.json").read_text())["test"].items():
        assert value == pytest.approx(scores[key], rel=1e-6), key


def test_a_results_file_keeps_the_run(exp):
    result = read_result(exp / "results" / "squares" / "bn-2x8_seed1.json")
    assert (result.variant, result.seed, result.command, result.data) == ("bn", 1, "a command", "squares (partial)")
    assert np.sum(result.usage["test"]) == result.scores["test"]["codes_seen"]
    assert [point["update"] for point in result.curve] == [4, 8, 12]
    assert result.config["vq_num_codebooks"] == 2


def test_pictures_show_originals_above_reconstructions(exp, images):
    with Image.open(exp / "exp" / "bn-2x8_seed1" / "images" / "reconstructions_test.png") as picture:
        shown = np.asarray(picture)
    np.testing.assert_array_equal(shown[2:66:2, 2:66:2], images[25])
    model = load(checkpoint(exp), IMAGES).model
    with torch.no_grad():
        codes = model.bottleneck(model.encode(as_batch(images[25:26]))).quantized
    np.testing.assert_array_equal(shown[70:134:2, 2:66:2], model.reconstruct(codes)[0].permute(1, 2, 0))
    assert (exp / "results" / "squares" / "figures" / "bn-2x8_seed1_samples_test.png").exists()


def test_one_seed_s_pictures_are_kept(exp, tmp_path):
    run, results = exp / "exp" / "bn-2x8_seed1", tmp_path / "results"
    for seed in (2, 3, 1):
        copy = tmp_path / f"bn-2x8_seed{seed}"
        shutil.copytree(run, copy)
        config = copy / "config.yaml"
        config.write_text(config.read_text().replace("\nseed: 1\n", f"\nseed: {seed}\n"))
        assert score.main(["--expdir", str(copy), "--results", str(results)]) == 0
    assert {path.name.split("_")[1] for path in (results / "figures").iterdir()} == {"seed1", "seed2"}
    out = tmp_path / "RESULTS.md"
    assert report.main(["--results", str(results), "--out", str(out)]) == 0
    assert "+ BN, seed 1: originals above reconstructions." in out.read_text()
    assert "+ BN, seed 2" not in out.read_text()


def test_the_report_sets_rows_beside_the_paper(exp):
    out = exp / "RESULTS.md"
    assert report.main(["--results", str(exp / "results"), "--out", str(out)]) == 0
    text = out.read_text()
    scores = json.loads((exp / "exp" / "bn-2x8_seed1" / "scores.json").read_text())["test"]
    row = next(line for line in text.splitlines() if line.startswith("| + BN | "))
    assert f"{scores['uniform_nelbo']:.4f}" in row
    assert "squares (partial)" in text
    assert "not run" in text
    for name in ("nelbo_2x8.png", "bn-2x8_seed1_reconstructions_test.png"):
        assert f"results/squares/figures/{name}" in text
        assert (exp / "results" / "squares" / "figures" / name).stat().st_size > 500
    assert report.main(["--expdir", str(exp / "exp"), "--out", str(exp / "exp" / "RESULTS.md")]) == 0
    again = (exp / "exp" / "RESULTS.md").read_text()
    assert row in again


@pytest.fixture
def folder(images, tmp_path):
    """A folder of PNG images of several kinds, and what they hold as RGB."""
    path = tmp_path / "pictures"
    path.mkdir()
    grey = np.asarray(Image.fromarray(images[2]).convert("L"))
    Image.fromarray(images[0]).save(path / "b.png")
    Image.fromarray(images[1]).convert("RGBA").save(path / "a.png")
    Image.fromarray(grey).save(path / "c.PNG")
    (path / "notes.txt").write_text("no image")
    return path, np.stack([images[1], images[0], grey[..., None].repeat(3, 2)])


def test_codes_go_round_exactly(exp, folder, tmp_path, monkeypatch):
    pictures, expected = folder
    codes = tmp_path / "codes.npz"
    assert encode.main(["--checkpoint", str(checkpoint(exp)), str(pictures), str(codes), "--batch_size", "2"]) == 0
    model = load(checkpoint(exp), IMAGES).model
    found = read_codes(codes)
    with torch.no_grad():
        output = model.bottleneck(model.encode(as_batch(expected)))
    np.testing.assert_array_equal(found.indices, output.indices)
    monkeypatch.chdir(tmp_path)
    assert reconstruct.main(["codes.npz", "made"]) == 0
    names, images = read_folder("made", 32, 32)
    assert names == ["a.png", "b.png", "c.png"]
    np.testing.assert_array_equal(images, model.reconstruct(output.quantized).permute(0, 2, 3, 1))
    assert reconstruct.main(["codes.npz", "likely", "--mode"]) == 0
    likely = read_folder("likely", 32, 32)[1]
    np.testing.assert_array_equal(likely, model.reconstruct(output.quantized, mode=True).permute(0, 2, 3, 1))


def test_the_test_set_s_codes_can_be_decoded_too(exp, tmp_path):
    codes = exp / "exp" / "bn-2x8_seed1" / "decode_test" / "codes.npz"
    assert reconstruct.main([str(codes), str(tmp_path / "made")]) == 0
    assert len(list((tmp_path / "made").iterdir())) == 9


def error(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(lines) == 1
    return lines[0]


def test_images_of_another_size_are_named(exp, folder, tmp_path, capsys):
    pictures, _ = folder
    Image.new("RGB", (28, 30)).save(pictures / "wrong.png")
    arguments = ["--checkpoint", str(checkpoint(exp)), str(pictures), str(tmp_path / "codes.npz")]
    assert encode.main(arguments) == 1
    assert "wrong.png: 28x30 pixels, expected 32x32" in error(capsys)
    assert encode.main([*arguments, "--max_bad", "0.5"]) == 0
    assert len(read_codes(tmp_path / "codes.npz").names) == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "can't be read as PNG"), (b"\x89PNG\r\n\x1a\nrubbish", "can't be read as PNG"), (None, "no PNG images")],
)
def test_unreadable_folders_are_one_line(exp, tmp_path, capsys, content, problem):
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    assert encode.main(["--checkpoint", str(checkpoint(exp)), str(tmp_path), str(tmp_path / "codes.npz")]) == 1
    assert problem in error(capsys)


def test_codes_of_another_model_are_refused(exp, folder, tmp_path, capsys):
    codes = tmp_path / "codes.npz"
    assert encode.main(["--checkpoint", str(checkpoint(exp)), str(folder[0]), str(codes)]) == 0
    other = exp / "exp" / "vanilla-2x8_seed1" / "checkpoints" / "best.ckpt"
    assert reconstruct.main([str(codes), str(tmp_path / "made"), "--checkpoint", str(other)]) == 1
    assert "not the model that made" in error(capsys)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("damage", ["cut", "text", "missing", "foreign", "range", "object"])
def test_damaged_codes_are_one_line(exp, folder, tmp_path, capsys, damage):
    codes = tmp_path / "codes.npz"
    assert encode.main(["--checkpoint", str(checkpoint(exp)), str(folder[0]), str(codes)]) == 0
    parts = dict(np.load(codes))
    match damage:
        case "cut":
            codes.write_bytes(codes.read_bytes()[:-40])
        case "text":
            codes.write_text("no codes")
        case "missing":
            codes.unlink()
        case "foreign":
            np.savez(codes, x=np.zeros(3))
        case "range":
            np.savez(codes, **parts | {"indices": parts["indices"] + 8})
        case "object":
            np.savez(codes, **parts | {"names": np.array([{}] * 3, dtype=object)})
    capsys.readouterr()
    assert reconstruct.main([str(codes), str(tmp_path / "made")]) == 1
    assert "codes.npz" in error(capsys)


def test_stages_out_of_order_are_one_line(exp, tmp_path, capsys):
    assert decode.main(["--expdir", str(tmp_path), "--images", str(exp / "data")]) == 1
    assert "best.ckpt: no such checkpoint" in error(capsys)
    assert score.main(["--expdir", str(tmp_path), "--task", "images"]) == 1
    assert "decode the set first (stage 4)" in error(capsys)
    assert report.main(["--expdir", str(tmp_path), "--out", str(tmp_path / "RESULTS.md")]) == 1
    assert "no scored runs" in error(capsys)
