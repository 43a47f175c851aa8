"""A training that is interrupted keeps its last checkpoint and ends with status 130."""

import signal

import pytest

from vqbn.bin.train import main
from vqbn.runs.checkpoint import read_checkpoint
from vqbn.tasks.recognition import training as recognition


@pytest.fixture(autouse=True)
def _own_signals():
    """Lightning ignores interrupts while it shuts down."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_training_keeps_its_last_checkpoint_and_says_so_in_one_line(
    tiny_options, tmp_path, monkeypatch, capsys
):
    loss = recognition.ctc_loss
    left = iter(range(6))

    def interrupted(*args, **kwargs):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return loss(*args, **kwargs)

    options = [*tiny_options(max_updates=8, validate_every=8, checkpoint_every=4), "--expdir", str(tmp_path)]
    monkeypatch.setattr(recognition, "ctc_loss", interrupted)
    assert main(options) == 130
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "vqbn-train: stopped\n"
    assert read_checkpoint(tmp_path / "checkpoints/last.ckpt")["recognizer"]["update"] == 4
    monkeypatch.undo()
    assert main(options) == 0
    assert read_checkpoint(tmp_path / "checkpoints/last.ckpt")["recognizer"]["update"] == 8
