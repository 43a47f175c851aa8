"""Under Slurm's variables and signals a run stays itself: its own checkpoints, in its own folder, and on it goes."""

import os
import signal

import pytest
import torch

from vqbn.bin.train import main
from vqbn.runs.checkpoint import read_checkpoint
from vqbn.runs.stopping import STATUS
from vqbn.tasks.recognition import training as recognition


@pytest.fixture
def slurm_job(monkeypatch, tmp_path):
    """The variables of a job step of two tasks, a `scontrol` that writes down its arguments, and a folder to be in."""
    variables = {
        "SLURM_JOB_ID": "12",
        "SLURM_JOBID": "12",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "node1",
        "SLURM_NTASKS_PER_NODE": "2",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(scontrol.parent), prepend=os.pathsep)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def train_until(monkeypatch, asked, update, argv):
    """Train, and send this process a signal in an update, counted from 1."""
    step = recognition.RecognitionTraining.training_step

    def interrupted(self, batch, batch_idx):
        if self.trainer.global_step + 1 == update:
            os.kill(os.getpid(), asked)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(recognition.RecognitionTraining, "training_step", interrupted)
        return main(argv)


@pytest.mark.parametrize("asked", STATUS, ids=lambda asked: asked.name)
def test_a_signal_saves_this_run_and_the_same_command_goes_on(slurm_job, monkeypatch, tiny_options, asked):
    argv = [*tiny_options(max_updates=20), "--expdir", str(slurm_job / "run")]
    before = [signal.getsignal(number) for number in STATUS]
    # Update 11 is neither evaluated nor a multiple of checkpoint_every.
    assert train_until(monkeypatch, asked, 11, argv) == STATUS[asked]
    assert [signal.getsignal(number) for number in STATUS] == before
    last = slurm_job / "run/checkpoints/last.ckpt"
    assert read_checkpoint(last)["recognizer"]["update"] == 11
    said = (slurm_job / "run/train.log").read_text()
    assert f"run: stopped by {asked.name} after update 11, which last.ckpt holds" in said
    # Slurm sends SIGTERM also to jobs that are cancelled.
    requests = (slurm_job / "asked").read_text() if (slurm_job / "asked").exists() else ""
    assert requests == ("requeue 12\n" if asked == signal.SIGUSR1 else "")

    assert main(argv) == 0
    assert main([*tiny_options(max_updates=20), "--expdir", str(slurm_job / "whole")]) == 0
    stopped, whole = (read_checkpoint(slurm_job / run / "checkpoints/last.ckpt") for run in ("run", "whole"))
    for name, value in whole["state_dict"].items():
        assert torch.equal(stopped["state_dict"][name], value), name
    # Another run begins at its beginning, and nothing is left where the command was called.
    assert "update 1 to 20" in (slurm_job / "whole/train.log").read_text()
    assert list((slurm_job / "here").iterdir()) == []
    assert not list(slurm_job.rglob("hpc_ckpt*"))


def test_a_signal_in_the_last_update_changes_nothing(slurm_job, monkeypatch, tiny_options):
    argv = [*tiny_options(max_updates=20), "--expdir", str(slurm_job / "run")]
    assert train_until(monkeypatch, signal.SIGUSR1, 20, argv) == 0
    assert not (slurm_job / "asked").exists()


def test_an_array_job_is_named_as_slurm_does_and_a_failure_is_said(slurm_job, monkeypatch, tiny_options, caplog):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    (slurm_job / "bin/scontrol").write_text('#!/bin/sh\necho "not allowed: $2" >&2\nexit 1\n')
    argv = [*tiny_options(max_updates=20), "--expdir", str(slurm_job / "run")]
    assert train_until(monkeypatch, signal.SIGUSR1, 3, argv) == 99
    assert "scontrol requeue 7_3 failed (not allowed: 7_3): start the same command again" in caplog.text
