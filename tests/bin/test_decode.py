import itertools
import json
import shutil

import numpy as np
import pytest
import torch

from vqbn.bin import score
from vqbn.bin.decode import main
from vqbn.files import locked
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.speech import SpeechDataset
from vqbn.kaldi.tokens import Tokens
from vqbn.metrics.per import phone_errors
from vqbn.runs.checkpoint import load_run
from vqbn.tasks.recognition.decoding import read_decoded
from vqbn.tasks.recognition.task import RECOGNITION


def decode(runs, dump, out, *options, run="bn_reest_lr_seed1"):
    assert main(["--expdir", str(runs / run), "--dump", str(dump), "--out", str(out), *options]) == 0
    return read_decoded(out)


def best_point(run):
    points = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    return min((p for p in points if p["quantised"] or p["perplexity"] is None), key=lambda p: p["dev_per"])


def test_the_best_checkpoint_recognises_as_well_as_training_said(trained_runs, speech_dump, tmp_path):
    for run in ("bn_reest_lr_seed1", "none_seed1"):
        decoded = decode(trained_runs, speech_dump, tmp_path / run, run=run)
        errors = phone_errors(
            [decoded.hypotheses[utt] for utt in decoded.references], list(decoded.references.values())
        )
        point = best_point(trained_runs / run)
        assert errors.rate == pytest.approx(point["dev_per"])
        assert decoded.about["update"] == point["update"]


def test_references_are_the_alignments_segments_and_codes_one_per_latent(trained_runs, speech_dump, tmp_path):
    decoded = decode(trained_runs, speech_dump, tmp_path / "d")
    tokens = Tokens.read(speech_dump / "tokens.txt")
    data = SpeechDataset(speech_dump / "dev", tokens, read_cmvn(speech_dump / "cmvn.ark"))
    assert list(decoded.references) == data.utterances
    for utterance in data.utterances:
        segments = data.segments(utterance)
        assert decoded.references[utterance] == tokens.names(segments[segments[:, 0] > 0, 0])
        assert decoded.codes[utterance].shape == (-(-segments[:, 1].sum() // 3), 1)
    # Two equal phones in a row are two tokens: the made speech has some.
    assert any(a == b for ref in decoded.references.values() for a, b in itertools.pairwise(ref))
    about = {"set": "dev", "checkpoint": "best", "subsampling": 3, "frame_shift": 0.01, "averaged": True}
    about |= {"codebook_size": 16, "num_codebooks": 1, "utterances": 6, "update": decoded.about["update"]}
    assert decoded.about == about | {"frames": sum(data.num_frames.values())}


def test_codes_are_those_that_the_model_chooses_for_each_utterance_alone(trained_runs, speech_dump, tmp_path):
    decoded = decode(trained_runs, speech_dump, tmp_path / "d")
    loaded = load_run(RECOGNITION, trained_runs / "bn_reest_lr_seed1", "best")
    data = SpeechDataset(speech_dump / "dev", Tokens(loaded.about["tokens"]), read_cmvn(speech_dump / "cmvn.ark"))
    for utterance in data.utterances:
        with torch.no_grad():
            output = loaded.model(torch.from_numpy(data.features(utterance))[None])
        np.testing.assert_array_equal(decoded.codes[utterance], output.indices[0].numpy())


def test_one_decoding_and_one_scoring_at_a_time_write_a_folder(decoded_runs, speech_dump, tmp_path, capsys):
    shutil.copytree(decoded_runs, tmp_path / "exp")
    run = tmp_path / "exp/bn_reest_lr_seed1"
    options = ["--expdir", str(run), "--dump", str(speech_dump)]

    def refused(command, *more):
        assert command([*options, *more]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    with locked(run / "decode_dev", beside=True):
        assert f"vqbn-decode: error: {run / 'decode_dev'}: in use by " in refused(main)
        assert f"vqbn-score: error: {run / 'decode_dev'}: in use by " in refused(score.main)
        # Another set of the same run can be decoded meanwhile.
        assert main([*options, "--set", "train"]) == 0
    with locked(run / "scores.json", beside=True):
        assert f"{run / 'scores.json'}: in use by " in refused(score.main)
    assert not (run / "scores.json").exists()
    assert score.main(options) == 0
    assert not list(run.rglob("*.lock"))


def test_batching_changes_nothing(trained_runs, speech_dump, tmp_path):
    together = decode(trained_runs, speech_dump, tmp_path / "a")
    alone = decode(trained_runs, speech_dump, tmp_path / "b", "--batch_frames", "1")
    assert together.hypotheses == alone.hypotheses
    for utterance, codes in together.codes.items():
        np.testing.assert_array_equal(codes, alone.codes[utterance])


def test_no_bottleneck_has_no_codes(decoded_runs):
    folder = decoded_runs / "none_seed1/decode_dev"
    assert sorted(p.name for p in folder.iterdir()) == ["decode.json", "hyp.trn", "ref.trn"]
    assert "codebook_size" not in json.loads((folder / "decode.json").read_text())


def test_other_checkpoints_and_weights_are_decoded_on_request(trained_runs, speech_dump, tmp_path):
    last = decode(trained_runs, speech_dump, tmp_path / "last", "--checkpoint", "last")
    assert (last.about["checkpoint"], last.about["update"]) == ("last", 30)
    shutil.copy(trained_runs / "bn_reest_lr_seed1/checkpoints/last.ckpt", tmp_path / "kept.v2.ckpt")
    kept = decode(trained_runs, speech_dump, tmp_path / "kept", "--checkpoint", str(tmp_path / "kept.v2.ckpt"))
    assert kept.about["checkpoint"] == "kept.v2"
    assert kept.hypotheses == last.hypotheses
    raw = decode(trained_runs, speech_dump, tmp_path / "raw", "--checkpoint", "last", "--not_averaged")
    assert not raw.about["averaged"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--expdir", "absent"], "absent"),
        (["--set", "test"], "dump0/test: no such folder"),
        (["--dump", "absent"], "absent/tokens.txt"),
        (["--checkpoint", "newest"], "--checkpoint: found 'newest'"),
        (["--checkpoint", "absent.ckpt"], "absent.ckpt"),
    ],
)
def test_what_is_missing_is_named_in_one_line(trained_runs, speech_dump, tmp_path, capsys, options, message):
    given = ["--expdir", str(trained_runs / "none_seed1"), "--dump", str(speech_dump), "--out", str(tmp_path / "out")]
    assert main([*given, *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vqbn-decode: error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_model_of_other_tokens_is_refused(trained_runs, speech_dump, tmp_path, capsys):
    shutil.copytree(speech_dump, tmp_path / "dump")
    Tokens(["<blank>", "AA", "IY", "S", "ZH"]).write(tmp_path / "dump/tokens.txt")
    assert main(["--expdir", str(trained_runs / "none_seed1"), "--dump", str(tmp_path / "dump")]) == 1
    assert "tokens.txt: 5 tokens that are not the 5 of" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_recognises_the_same(trained_runs, speech_dump, tmp_path):
    cpu = decode(trained_runs, speech_dump, tmp_path / "cpu", "--device", "cpu")
    gpu = decode(trained_runs, speech_dump, tmp_path / "gpu", "--device", "cuda")
    assert cpu.hypotheses == gpu.hypotheses


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(trained_runs, speech_dump, capsys):
    options = ["--expdir", str(trained_runs / "none_seed1"), "--dump", str(speech_dump), "--device", "cuda"]
    assert main(options) == 1
    assert "--device: found cuda" in capsys.readouterr().err


def test_a_beam_search_writes_a_folder_of_its_own(trained_runs, speech_dump, tmp_path, capsys):
    run = tmp_path / "bn_reest_lr_seed1"
    shutil.copytree(trained_runs / "bn_reest_lr_seed1", run)
    arguments = ["--expdir", str(run), "--dump", str(speech_dump), "--set", "dev"]
    assert main(arguments) == 0
    assert main([*arguments, "--beam", "8"]) == 0
    about = json.loads((run / "decode_dev_beam8/decode.json").read_text())
    assert about.pop("beam") == 8
    assert about == json.loads((run / "decode_dev/decode.json").read_text())
    assert (run / "decode_dev_beam8/codes.ark").read_bytes() == (run / "decode_dev/codes.ark").read_bytes()
    assert (run / "decode_dev_beam8/ref.trn").read_bytes() == (run / "decode_dev/ref.trn").read_bytes()
    assert len((run / "decode_dev_beam8/hyp.trn").read_text().splitlines()) == 6
    assert main([*arguments, "--beam", "-1"]) == 1
    assert "--beam: found -1" in capsys.readouterr().err
