import json
from types import SimpleNamespace

import pytest

from vqbn.bin.scale_study import main
from vqbn.tasks.recognition.task import RECOGNITION

TINY = {
    "task": "recognition",
    "conv_channels": 4,
    "lstm_layers": 1,
    "lstm_size": 16,
    "vq_codebook_size": 32,
    "vq_code_dim": 8,
    "learning_rate": 0.01,
    "batch_size": 6,
    "chunk_frames": 48,
    "max_updates": 8,
    "polyak_decay": 0.5,
    "validate_every": 8,
}


@pytest.fixture
def study(speech_dump, tmp_path):
    """A function from options to the command's status; points go to `out`."""

    def run(*options, **changes):
        config = {"dump": speech_dump, "expdir": tmp_path / "exp", "out": run.out} | TINY | changes
        return main([*(f"--{key}={value}" for key, value in config.items()), *options])

    run.out = tmp_path / "results/study.json"
    run.exp = tmp_path / "exp"
    return run


def test_large_codewords_are_used_less_and_a_point_is_measured_once(study):
    assert study("--scales", "0.1", "100") == 0
    small, large = json.loads(study.out.read_text())["points"]
    for point, scale in ((small, 0.1), (large, 100)):
        assert point["scale"] == scale
        assert point["codeword_norm"] / point["encoder_norm"] == pytest.approx(scale)
        assert 0 <= point["probe_error"] <= 200
        assert point["updates"] == 8
    # Section III-A: codewords that are larger than what they are compared with collapse.
    assert large["used_codes"] < small["used_codes"]
    assert small["codeword_norm_after"] < large["codeword_norm_after"]
    assert study.out.with_suffix(".png").stat().st_size > 10_000

    before = study.out.stat().st_mtime_ns, sorted(study.exp.iterdir())
    assert study("--scales", "100", "0.1") == 0
    assert (study.out.stat().st_mtime_ns, sorted(study.exp.iterdir())) == before


def test_the_first_codewords_have_the_size_that_is_asked_for(study, speech_dump):
    """Independently: a fresh model with the point's codebook_init, and its encoder's outputs in training mode."""
    import torch

    from vqbn.runs.config import parse_arguments
    from vqbn.runs.scale_study import norms_at_start
    from vqbn.tasks.recognition.training import prepare

    argv = [f"--{key}={value}" for key, value in (TINY | {"dump": speech_dump, "expdir": "none"}).items()]
    config = parse_arguments(argv, "t", "t", RECOGNITION.keys)
    unit, encoder_norm = norms_at_start(config, RECOGNITION)
    prepared = prepare({**config, "vq_codebook_init": 3 * encoder_norm / unit})
    model = prepared.module.model.train()
    prepared.data.trainer = SimpleNamespace(global_step=0, global_rank=0, world_size=1)
    batch = next(iter(prepared.data.train_dataloader()))
    with torch.no_grad():
        encoded, lengths = model.encoder(batch.features, batch.lengths)
        outputs = model.bottleneck.projection(encoded)
    valid = torch.arange(outputs.shape[1]) < lengths[:, None]
    assert outputs[valid].norm(dim=-1).mean().item() == pytest.approx(encoder_norm, rel=1e-4)
    codewords = model.bottleneck.codebook.detach()
    assert codewords.norm(dim=-1).mean().item() == pytest.approx(3 * encoder_norm, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vq_normalization": "batch"}, "vq_normalization: found batch, expected none"),
        ({"bottleneck": "linear"}, "bottleneck: found linear, expected vq"),
        ({"vq_codebok_size": 3}, "vq_codebok_size"),
        ({"seed": 3}, "--seeds"),
        ({"dump": "nowhere"}, "nowhere/tokens.txt"),
    ],
)
def test_what_can_not_be_studied_is_said_in_one_line(study, capsys, changes, message):
    assert study("--scales", "1", **changes) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert message in line
    assert not study.out.exists()
