"""Training, stopping, resuming, decoding and scoring through ESPnet's own code."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from vqbn.bin import espnet_asr_inference, espnet_asr_train, espnet_score, score_trn
from vqbn.kaldi.transcripts import read_transcripts
from vqbn.runs.results import read_result

pytestmark = pytest.mark.usefixtures("espnet")

EXTRA = "encoder.bottleneck._extra_state"


def weights(run: Path, epoch: int) -> dict:
    return torch.load(run / f"{epoch}epoch.pth", weights_only=True)


def reported(run: Path, epoch: int, phase: str) -> dict:
    states = torch.load(run / "checkpoint.pth", weights_only=False)
    return states["reporter"]["stats"][epoch][phase]


def test_clusterings_happen_when_the_optimiser_has_come_so_far(espnet_run):
    from vqbn.bottleneck.state import unpack

    values, tensors = unpack(weights(espnet_run, 2)[EXTRA])
    assert values["clock"]["updates"] == 10
    assert tensors["reestimations"][:, 0].tolist() == [4, 9]


def test_the_codebook_has_a_learning_rate_of_its_own_and_the_schedule_scales_both(espnet_run):
    first, second = reported(espnet_run, 1, "train"), reported(espnet_run, 2, "train")
    assert (first["optim0_lr0"], first["optim0_lr1"]) == (0.01, 0.02)
    assert second["optim0_lr0"] == pytest.approx(0.001)
    assert second["optim0_lr1"] == pytest.approx(0.002)


def test_the_reporter_has_the_bottlenecks_statistics(espnet_run):
    train, valid = reported(espnet_run, 2, "train"), reported(espnet_run, 2, "valid")
    for stats in (train, valid):
        assert stats["loss_vq"] > 0
        assert 1 <= stats["perplexity"] <= 8
    # Over the whole set, which is what the mean over its batches is not.
    assert 1 <= valid["epoch_perplexity"] <= valid["epoch_codes_used"] <= 8
    assert valid["epoch_codes_used"] >= valid["codes_used"]


def test_a_run_that_was_stopped_and_resumed_is_the_same_bit_for_bit(espnet_run, tiny_espnet, tmp_path):
    options = tiny_espnet(tmp_path / "run", "--resume", "true")
    assert espnet_asr_train.main([*options, "--max_epoch", "1"]) == 0
    assert not (tmp_path / "run/2epoch.pth").exists()
    assert espnet_asr_train.main(options) == 0
    straight, resumed = weights(espnet_run, 2), weights(tmp_path / "run", 2)
    assert straight.keys() == resumed.keys()
    for name, value in straight.items():
        if name != EXTRA:  # holds how long a clustering took
            assert torch.equal(value, resumed[name]), name


def test_collect_stats_gathers_features_and_leaves_the_bottleneck_alone(tiny_espnet, tmp_path):
    stats = tmp_path / "stats"
    assert espnet_asr_train.main(tiny_espnet(stats, "--collect_stats", "true")) == 0
    shapes = (stats / "train/speech_shape").read_text().split("\n")
    assert re.fullmatch(r"train-00 \d+,21", shapes[0])
    assert (stats / "train/feats_stats.npz").is_file()


def test_a_conformer_with_a_bottleneck_and_an_attention_decoder_trains(tiny_espnet, tmp_path):
    encoder = {"output_size": 8, "attention_heads": 2, "linear_units": 8, "num_blocks": 1, "input_layer": "conv2d"}
    bottleneck = {"codebook_size": 8, "update": "ema", "reestimation": {"start": 2, "until": 2, "every": 1}}
    options = tiny_espnet(
        tmp_path / "run",
        encoder="vqbn_wrapped",
        encoder_conf={"encoder": "conformer", "encoder_conf": encoder, "code_dim": 8}
        | {"bottleneck_conf": bottleneck | {"reservoir_size": 100}},
        decoder="transformer",
        decoder_conf={"attention_heads": 2, "linear_units": 8, "num_blocks": 1},
        model_conf={"ctc_weight": 0.3},
        codebook_lr=None,
        num_att_plot=0,
        max_epoch=1,
        best_model_criterion=[["valid", "vq_acc", "max"]],
    )
    assert espnet_asr_train.main(options) == 0
    assert (tmp_path / "run/valid.vq_acc.best.pth").exists()
    assert 1 <= reported(tmp_path / "run", 1, "valid")["epoch_perplexity"] <= 8


@pytest.fixture(scope="module")
def decoded(espnet_run, espnet_data, tmp_path_factory) -> Path:
    """A copy of the run with its development set decoded and scored, and kept in `results` beside it."""
    run = tmp_path_factory.mktemp("decoded") / "run"
    shutil.copytree(espnet_run, run, symlinks=True)
    argv = ["--asr_train_config", str(run / "config.yaml"), "--output_dir", str(run / "decode_dev")]
    argv += ["--asr_model_file", str(run / "valid.vq_cer_ctc.best.pth"), "--ctc_weight", "1.0"]
    argv += ["--data_path_and_name_and_type", f"{espnet_data / 'dev/feats.scp'},speech,kaldi_ark"]
    assert espnet_asr_inference.main([*argv, "--beam_size", "3", "--num_workers", "0"]) == 0
    assert espnet_score.main(scoring(run, espnet_data)) == 0
    return run


def scoring(run: Path, data: Path) -> list[str]:
    argv = ["--run", str(run), "--set", "dev", "--data", str(data), "--token_type", "phn", "--command", "a command"]
    return [*argv, "--results", str(run.parent / "results"), "--name", "bn_reest-espnet2-chunks"]


def test_espnet_decodes_and_both_scorers_count_the_same(decoded, espnet_data, capsys):
    text = espnet_data / "dev/text"
    scores = json.loads((decoded / "decode_dev/scores.json").read_text())
    assert scores["per"] == pytest.approx(scores["espnet_per"], rel=1e-14)
    assert 0 < scores["per"] <= 300  # hardly trained
    # What sclite would read gives the same.
    trn = [str(decoded / f"decode_dev/score_per/{name}.trn") for name in ("ref", "hyp")]
    assert score_trn.main(["--ref", trn[0], "--hyp", trn[1]]) == 0
    assert f"{scores['per']:.2f}" in capsys.readouterr().out
    assert read_transcripts(decoded / "decode_dev/1best_recog/token").keys() == read_transcripts(text).keys()


def test_a_finished_run_is_kept_as_ours_are(decoded):
    result = read_result(decoded.parent / "results/bn_reest-espnet2-chunks_seed1.json")
    scores = result.scores["dev"]
    assert scores["per"] == json.loads((decoded / "decode_dev/scores.json").read_text())["per"]
    epoch = int((decoded / "valid.vq_cer_ctc.best.pth").resolve().name.removesuffix("epoch.pth"))
    assert result.update == 5 * epoch
    valid = reported(decoded, epoch, "valid")
    assert (scores["perplexity"], scores["used_codes"]) == (valid["epoch_perplexity"], valid["epoch_codes_used"])
    assert sum(counts["edits"] for counts in result.speakers["dev"].values()) == sum(
        scores[kind] for kind in ("substitutions", "deletions", "insertions")
    )
    assert (result.variant, result.command, result.config["optim_conf"]["lr"]) == ("bn_reest", "a command", 0.01)
    assert "cmvn" not in result.config["encoder_conf"]
    assert result.commit == yaml.safe_load((decoded / "vqbn.yaml").read_text())["git_commit"]


@pytest.mark.parametrize("name", ["vqbn.yaml", "config.yaml", "checkpoint.pth", "valid.vq_cer_ctc.best.pth"])
def test_a_run_that_is_not_whole_is_named_and_not_kept(decoded, espnet_data, tmp_path, capsys, name):
    shutil.copytree(decoded, tmp_path / "run", symlinks=True)
    (tmp_path / "run" / name).unlink()
    assert espnet_score.main(scoring(tmp_path / "run", espnet_data)) == 1
    assert f"{name}: " in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_averaged_codebooks_are_refused_before_training_and_before_decoding(
    espnet_run, tiny_espnet, espnet_data, tmp_path, capsys
):
    assert espnet_asr_train.main(tiny_espnet(tmp_path / "run", keep_nbest_models=5)) == 1
    assert "keep_nbest_models: found 5, expected 1" in capsys.readouterr().err
    # What ESPnet would do to two epochs: sums, divided.
    one, other = weights(espnet_run, 2), weights(espnet_run, 2)
    averaged = {name: (value + other[name]) / 2 for name, value in one.items()}
    torch.save(averaged, tmp_path / "valid.loss.ave_2best.pth")
    argv = ["--asr_train_config", str(espnet_run / "config.yaml"), "--output_dir", str(tmp_path / "out")]
    argv += ["--asr_model_file", str(tmp_path / "valid.loss.ave_2best.pth")]
    argv += ["--data_path_and_name_and_type", f"{espnet_data / 'dev/feats.scp'},speech,kaldi_ark"]
    assert espnet_asr_inference.main(argv) == 1
    assert "the mean of several epochs" in capsys.readouterr().err


def test_without_codes_epochs_are_averaged(tiny_espnet, tmp_path):
    conf = {"conv_channels": 2, "lstm_layers": 1, "lstm_size": 4, "code_dim": 4, "bottleneck": "linear"}
    options = tiny_espnet(tmp_path / "run", encoder_conf=conf, codebook_lr=None, keep_nbest_models=2)
    assert espnet_asr_train.main(options) == 0
    assert (tmp_path / "run/valid.vq_cer_ctc.ave_2best.pth").is_file()


@pytest.mark.parametrize(
    ("changes", "more", "said"),
    [
        ({"encoder": "conformer", "encoder_conf": {}}, (), "encoder: found conformer, expected vqbn_deepspeech2 or"),
        ({"encoder_conf": {"attention_heads": 4}}, (), "encoder_conf: attention_heads: no such key"),
        ({"model": "espnet", "model_conf": {}}, (), "model: found espnet, expected vqbn"),
        ({"model_conf": {"vq_wieght": 3}}, (), "model_conf: vq_wieght: no such key; did you mean vq_weight?"),
        ({"sharded_ddp": True}, (), "sharded_ddp: found true"),
        ({}, ("--ngpu", "2"), "multiprocessing_distributed: found false"),
        ({"bpemodel": None}, ("--token_type", "bpe"), "bpemodel: found None"),
        ({}, ("--token_list", "nowhere.txt"), "nowhere.txt: can't be read"),
        ({"encoder_conf": {"bottleneck": "linear"}}, (), "codebook_lr: found 0.02, expected nothing"),
    ],
)
def test_bad_configurations_end_with_one_line(changes, more, said, tiny_espnet, tmp_path, capsys):
    assert espnet_asr_train.main(tiny_espnet(tmp_path / "run", *more, **changes)) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["<blank>", "<unk>", "AA", "S", "SIL", "<sos/eos>"], "lacks 'IY', which train-00 in"),
        (["<blank>", "AA", "IY", "S", "SIL", "<sos/eos>"], "lacks <unk>"),
        (["<unk>", "<blank>", "AA", "IY", "S", "SIL", "<sos/eos>"], "found '<unk>' first, expected <blank>"),
        (["<blank>", "<unk>", "AA", "AA", "IY", "S", "SIL", "<sos/eos>"], "has 'AA' more than once"),
    ],
)
def test_a_vocabulary_that_lacks_a_token_is_refused(lines, said, tiny_espnet, tmp_path, capsys):
    (tmp_path / "tokens.txt").write_text("".join(f"{line}\n" for line in lines))
    argv = tiny_espnet(tmp_path / "run", "--token_list", str(tmp_path / "tokens.txt"))
    assert espnet_asr_train.main(argv) == 1
    assert f"tokens.txt: {said}" in capsys.readouterr().err


def test_a_resumed_run_keeps_its_codebook_size_and_its_configuration(espnet_run, tiny_espnet, tmp_path, capsys):
    shutil.copytree(espnet_run, tmp_path / "run", symlinks=True)
    before = (tmp_path / "run/config.yaml").read_text()
    options = tiny_espnet(tmp_path / "run", "--resume", "true", "--max_epoch", "3")
    assert espnet_asr_train.main([*options, "--encoder_conf", "bottleneck_conf.codebook_size=16"]) == 1
    error = capsys.readouterr().err
    assert "config.yaml: trained with encoder_conf: bottleneck_conf: codebook_size: 8, not 16" in error
    assert (tmp_path / "run/config.yaml").read_text() == before
    # Without the record of what it was, the checkpoint itself tells.
    (tmp_path / "run/config.yaml").unlink()
    assert espnet_asr_train.main([*options, "--encoder_conf", "bottleneck_conf.codebook_size=16"]) == 1
    assert "checkpoint.pth: does not fit this configuration" in capsys.readouterr().err.splitlines()[-1]


def test_decoding_refuses_what_is_not_ours(espnet_run, espnet_data, tmp_path, capsys):
    config = yaml.safe_load((espnet_run / "config.yaml").read_text())
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(config | {"encoder": "conformer"}))
    (tmp_path / "cut.pth").write_bytes((espnet_run / "2epoch.pth").read_bytes()[:1000])
    data = ["--data_path_and_name_and_type", f"{espnet_data / 'dev/feats.scp'},speech,kaldi_ark"]
    data += ["--output_dir", str(tmp_path / "out")]
    for config, model, said in (
        (tmp_path / "other.yaml", espnet_run / "2epoch.pth", "encoder: found conformer"),
        (espnet_run / "config.yaml", tmp_path / "cut.pth", "damaged, or not a model's weights"),
        (espnet_run / "config.yaml", tmp_path / "none.pth", "none.pth: can't be read"),
        (tmp_path / "none.yaml", espnet_run / "2epoch.pth", "none.yaml: can't be read"),
    ):
        argv = [*data, "--asr_train_config", str(config), "--asr_model_file", str(model)]
        assert espnet_asr_inference.main(argv) == 1
        assert said in capsys.readouterr().err
    assert espnet_asr_inference.main([*data, "--asr_train_config", str(espnet_run / "config.yaml")]) == 1
    assert "--asr_model_file: not given" in capsys.readouterr().err
