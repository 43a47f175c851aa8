"""Scores of whole lines: exact sums, the paper's NELBOs, and the commands of stages 3 to 6 on a tiny corpus."""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vqbn.bin.decode import main as decode
from vqbn.bin.report import main as report
from vqbn.bin.scale_study import main as scale_study
from vqbn.bin.score import main as score
from vqbn.bin.train import main as train
from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.metrics.probe import Coded, fit_probe, probe_errors, probe_loss
from vqbn.nets.pixelcnn_sampling import draw
from vqbn.reports.scale_figure import write_study
from vqbn.runs.checkpoint import load_run
from vqbn.runs.config import parse_arguments
from vqbn.tasks.handwriting.decoding import DecodedLines, read_decoded_lines, write_decoded_lines
from vqbn.tasks.handwriting.evaluation import character_accuracy, codebook_scores, score_lines
from vqbn.tasks.handwriting.model import build_line_autoencoder
from vqbn.tasks.handwriting.pictures import SAMPLES, reconstruct
from vqbn.tasks.handwriting.task import HANDWRITING

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from moved_codes import compare

TINY = "--conv_channels 2 --lstm_size 4 --mixer_size 6 --pixelcnn_channels 4 --pixelcnn_layers 2 --vq_codebook_size 8"
TINY += " --vq_code_dim 6 --vq_normalization batch --batch_size 4 --chunk_columns 32 --max_updates 4"
TINY += " --validate_every 2 --checkpoint_every 2 --polyak_decay 0.5"


@pytest.fixture(scope="module")
def run(line_dump, tmp_path_factory) -> Path:
    """A trained, decoded and scored run; read-only."""
    expdir = tmp_path_factory.mktemp("exp") / "bn_seed3"
    assert train(f"--task handwriting --dump {line_dump} --expdir {expdir} --seed 3 {TINY}".split()) == 0
    for name in ("dev", "test"):
        assert (
            decode(f"--expdir {expdir} --dump {line_dump} --set {name} --pictures 1 --picture_columns 12".split()) == 0
        )
    assert decode(f"--expdir {expdir} --dump {line_dump} --set train --codes_only".split()) == 0
    options = f"--expdir {expdir} --dump {line_dump} --set dev --set test --probe_set train --probe_epochs 2"
    results = expdir.parent / "results/strokes"
    assert score([*options.split(), "--results", str(results), "--data_label", "drawn strokes"]) == 0
    return expdir


def test_every_pixel_of_every_line_is_counted_once_however_it_is_batched(line_dump):
    torch.manual_seed(0)
    config = parse_arguments(f"--dump d --expdir e {TINY}".split(), "test", "", HANDWRITING.keys)
    model = build_line_autoencoder(config, 32, 4).eval()
    dataset = LineDataset(line_dump, "train")
    alone = np.zeros(len(dataset))
    for line in range(len(dataset)):
        pixels = torch.from_numpy(np.array(dataset.pixels(line)))[None].long()
        encoded, _ = model.encoder(model.decoder.ink(pixels))
        logits = model.decoder(pixels, model.mixer(model.bottleneck(encoded).quantized)).double()
        alone[line] = -logits.log_softmax(-1).gather(-1, pixels[..., None]).sum().item()
    expected = alone.sum() / (32 * dataset.columns.sum()) / math.log(2)
    for batch_columns in (1, 100, 10000):
        found = score_lines(model, dataset, batch_columns)
        np.testing.assert_allclose(found.nats, alone, rtol=1e-4)
        assert found.bpd == pytest.approx(expected, rel=1e-5)
    only = score_lines(model, dataset, 100, pixels=False)
    assert np.isnan(only.nats).all()
    assert all((a == b).all() for a, b in zip(only.codes, found.codes, strict=True))


def test_nelbos_are_those_of_the_papers_table_ii():
    """0.213 bits and a perplexity of 322 of 4,096 codes, one for 32 x 4 pixels: 0.307 and 0.278."""
    codes = [np.arange(322, dtype=np.int32)[:, None]]
    scores, usage = codebook_scores(codes, 0.213, 4096, 128)
    assert scores["perplexity"] == pytest.approx(322)
    assert round(scores["uniform_nelbo"], 3) == 0.307
    assert round(scores["unigram_nelbo"], 3) == 0.278
    assert (scores["used_codes"], scores["codes_seen"], len(usage[0])) == (322, 322, 4096)


def test_character_accuracy_counts_the_columns_under_each_codes_commonest_character():
    codes = [np.array([[0], [1], [0]], dtype=np.int32)]
    # Code 0: seven columns of 5 and one of 6; code 1: two of 6, two that belong to no character.
    labels = [np.array([5, 5, 5, 5, 0, 6, 6, 0, 5, 5, 5, 6], dtype=np.int16)]
    assert character_accuracy(codes, labels, 4, 8) == pytest.approx(9 / 10)
    assert character_accuracy(codes, [np.full(12, -1, dtype=np.int16)], 4, 8) is None


def test_a_run_ends_with_scores_that_belong_together(run):
    scores = json.loads((run / "scores.json").read_text())
    for name in ("dev", "test"):
        found = scores[name]
        assert found["uniform_nelbo"] == pytest.approx(found["reconstruction_bpd"] + 3 / 128)
        assert found["unigram_nelbo"] == pytest.approx(
            found["reconstruction_bpd"] + math.log2(found["perplexity"]) / 128
        )
        assert 1 <= found["perplexity"] <= found["used_codes"] <= found["codebook_size"] == 8
        assert 0 < found["character_accuracy"] <= 1
        assert found["probe_cer"] > 0
    point = json.loads((run / "curve.jsonl").read_text().splitlines()[-1])
    assert point["update"] == 4
    decoded = read_decoded_lines(run / "decode_dev")
    assert decoded.bpd == pytest.approx(scores["dev"]["reconstruction_bpd"])
    assert (run / "images/dev_1.png").stat().st_size > 1000


def test_the_report_has_the_run_beside_the_papers_rows(run):
    out = run.parent / "RESULTS.md"
    assert report(["--results", str(run.parent / "results"), "--out", str(out)]) == 0
    text = out.read_text()
    scores = json.loads((run / "scores.json").read_text())["test"]
    row = next(line for line in text.split("Set `test`")[1].splitlines() if "`bn`" in line)
    assert f"| {scores['reconstruction_bpd']:.4f} |" in row
    assert "| 0.216 | 260 | 0.309 | 0.278 |" in row
    assert text.count("not run") == 10
    assert "drawn strokes" in text
    assert "Scale of codewords" not in text
    figures = run.parent / "results/strokes/figures"
    assert (figures / "bpd.png").exists()
    for name in ("bn_seed3_dev_1.png", "bn_seed3_test_1.png"):
        assert f"(results/strokes/figures/{name})" in text
        assert (figures / name).read_bytes() == (run / f"images/{name.removeprefix('bn_seed3_')}").read_bytes()


def test_the_report_of_runs_without_results_files_has_their_pictures_too(run):
    out = run.parent / "of_runs.md"
    assert report(["--expdir", str(run.parent), "--out", str(out)]) == 0
    assert "(figures/bn_seed3_test_1.png)" in out.read_text()
    assert (run.parent / "figures/bn_seed3_test_1.png").exists()


def test_a_study_of_scales_beside_the_results_is_in_the_report(run, tmp_path):
    results = tmp_path / "results/strokes"
    shutil.copytree(run.parent / "results/strokes", results)
    point = {"scale": 10.0, "seed": 1, "probe_error": 88.25, "task_score": 0.34567, "used_codes": 3, "codebook_size": 8}
    point |= {
        "perplexity": 2.5,
        "probe_loss": 2.8125,
        "codeword_norm_after": 1.0,
        "encoder_norm_after": 4.0,
        "updates": 400,
    }
    write_study(results / "scale/study.json", [point], "drawn strokes")
    assert report(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "RESULTS.md")]) == 0
    text = (tmp_path / "RESULTS.md").read_text().split("### Scale of codewords")[1]
    assert "a probe reads characters from code indices" in text
    assert "| 10 | 1 | 88.2 | 2.812 | 0.346 | 3 of 8 | 2.5 | 0.25 |" in text
    assert "(results/strokes/scale/study.png)" in text


def test_a_study_of_scales_probes_the_transcribed_lines_of_a_run(line_dump, tmp_path):
    expdir, out = tmp_path / "exp", tmp_path / "study.json"
    options = f"--dump {line_dump} --expdir {expdir} --out {out} --scales 0.5 {TINY} --vq_normalization none"
    assert scale_study(["--task", "handwriting", *options.split()]) == 0
    (point,) = json.loads(out.read_text())["points"]
    model = load_run(HANDWRITING, expdir / "scale0.5_seed1", "last").model
    coded = {}
    for name in ("train", "dev"):
        dataset = LineDataset(line_dump, name)
        targets = [np.array(dataset.alphabet.encode(text, "")) for text in dataset.texts]
        coded[name] = list(map(Coded, score_lines(model, dataset, 100).codes, targets))
    probe = fit_probe(coded["train"], 8, len(dataset.alphabet), seed=1)
    assert point["probe_error"] == pytest.approx(probe_errors(probe, coded["dev"]).rate)
    assert point["probe_loss"] == pytest.approx(probe_loss(probe, coded["dev"]))
    assert point["task_score"] == pytest.approx(score_lines(model, dataset, 100).bpd, rel=1e-5)
    assert out.with_suffix(".png").exists()


def test_latents_out_of_place_cost_bits_where_the_decoder_reads_them(line_dump):
    options = f"--dump d --expdir e {TINY} --bottleneck linear --vq_normalization none"
    model = build_line_autoencoder(parse_arguments(options.split(), "test", "", HANDWRITING.keys), 32, 4).eval()
    dataset = LineDataset(line_dump, "dev")
    conditions = [c.weight for layer in model.decoder.layers for c in (layer.v_condition, layer.h_condition)]
    for weight in conditions:
        torch.nn.init.normal_(weight, std=10)
    placed, moved = compare(model, dataset)
    assert placed == pytest.approx(score_lines(model, dataset).bpd, rel=1e-5)
    assert moved != pytest.approx(placed, rel=1e-5)
    for weight in conditions:
        torch.nn.init.zeros_(weight)
    placed, moved = compare(model, dataset)
    assert placed == moved


def test_pictures_are_of_what_the_decoder_draws_given_the_line_s_codes(run, line_dump):
    model = load_run(HANDWRITING, run, "best").model
    pixels = LineDataset(line_dump, "dev").pixels(0)
    parts = reconstruct(model, pixels, seed=5)
    np.testing.assert_array_equal(parts["original"], pixels)
    codes = model(torch.from_numpy(np.array(pixels))[None]).indices
    np.testing.assert_array_equal(parts["codes"], codes[0])
    condition = model.condition(codes)
    generator = torch.Generator().manual_seed(5)
    samples = draw(model.decoder, condition.expand(SAMPLES, -1, -1), len(pixels), generator=generator).pixels.numpy()
    np.testing.assert_array_equal(parts["sampled"], samples[0])
    np.testing.assert_allclose(parts["mean"], samples.mean(0), rtol=1e-6)
    likely = torch.from_numpy(parts["most likely"])[None]
    np.testing.assert_array_equal(model.decoder(likely, condition).argmax(-1), likely)


def test_a_linear_bottleneck_is_trained_decoded_scored_and_reported_without_codes(line_dump, tmp_path):
    expdir = tmp_path / "none_seed1"
    options = f"{TINY} --bottleneck linear --vq_normalization none"
    assert train(f"--task handwriting --dump {line_dump} --expdir {expdir} {options}".split()) == 0
    assert decode(f"--expdir {expdir} --dump {line_dump} --set dev --pictures 1 --picture_columns 8".split()) == 0
    assert decode(f"--expdir {expdir} --dump {line_dump} --set train --codes_only".split()) == 0
    options = f"--expdir {expdir} --dump {line_dump} --probe_set train --results {tmp_path / 'results'}"
    assert score(options.split()) == 0
    scores = json.loads((expdir / "scores.json").read_text())["dev"]
    assert scores.keys() == {"reconstruction_bpd"}
    assert report(["--results", str(tmp_path / "results"), "--out", str(tmp_path / "RESULTS.md")]) == 0
    text = (tmp_path / "RESULTS.md").read_text()
    assert f"| no bottleneck | `none` | 1 | {scores['reconstruction_bpd']:.4f} |" in text
    assert "channels of the PixelCNN 4, its layers 2" in text


def test_scoring_codes_alone_is_refused(run, line_dump, capsys):
    assert score(f"--expdir {run} --dump {line_dump} --set train".split()) == 1
    assert "holds codes alone" in capsys.readouterr().err


def test_a_decoding_comes_back_and_damage_is_named(tmp_path):
    about = {"set": "dev", "checkpoint": "best", "update": 7, "subsampling": 4, "height": 32, "averaged": True}
    about |= {"codebook_size": 9, "num_codebooks": 1}
    codes = [np.array([[1], [8]], dtype=np.int32), np.array([[3]], dtype=np.int32)]
    nats = np.array([12.345678901234567, 1 / 3])
    write_decoded_lines(tmp_path / "d", DecodedLines(["a/1", "a/2"], np.array([8, 3]), nats, codes, about))
    again = read_decoded_lines(tmp_path / "d")
    assert again.ids == ["a/1", "a/2"]
    assert (again.nats == nats).all()
    assert all((a == b).all() for a, b in zip(again.codes, codes, strict=True))
    (tmp_path / "d/lines.tsv").write_text("id\tcolumns\tnats\na/1\t12\t1.0\na/2\t3\t1.0\n")
    with pytest.raises(InputError, match=r"codes\.scp: 'a/1' has 2 codes, expected 3"):
        read_decoded_lines(tmp_path / "d")
    (tmp_path / "d/lines.tsv").write_text("id\tcolumns\tnats\na/1\tmany\t1.0\n")
    with pytest.raises(InputError, match=r"lines\.tsv: found something else than numbers"):
        read_decoded_lines(tmp_path / "d")
