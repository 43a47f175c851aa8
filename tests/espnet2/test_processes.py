"""Several processes train one codebook, as ESPnet starts them."""

import json
import os
import subprocess
import sys

import pytest

from vqbn.bottleneck.state import unpack

pytestmark = pytest.mark.usefixtures("espnet")

PROGRAM = """
import json, sys, torch
from vqbn.espnet2.task import VQASRTask
kept = []
build = VQASRTask.build_model
VQASRTask.build_model = classmethod(lambda cls, args: kept.append(build(args)) or kept[-1])
VQASRTask.main(cmd=json.loads(sys.argv[1]))
bottleneck = kept[-1].encoder.bottleneck
done = [each.vectors for each in bottleneck.reestimations]
torch.save((bottleneck.codebook.detach(), bottleneck.updates, done), sys.argv[2])
"""


def test_two_processes_share_batches_and_end_with_one_codebook(tiny_espnet, tmp_path):
    import torch

    from vqbn.bin.espnet_asr_train import main

    # Below the ports that the system hands out: it is used seconds later, and another test's server might get it first.
    port = 20000 + os.getpid() % 10000
    # More than there are vectors: what it holds at a clustering is all that there was.
    large = ["--encoder_conf", "bottleneck_conf.reservoir_size=5000"]
    started = []
    for rank in (0, 1):
        more = ["--dist_world_size", "2", "--dist_rank", str(rank), "--dist_backend", "gloo"]
        more += ["--dist_master_addr", "localhost", "--dist_master_port", str(port)]
        argv = tiny_espnet(tmp_path / "run", *large, *more, max_epoch=1)
        command = [sys.executable, "-c", PROGRAM, json.dumps(argv), str(tmp_path / f"rank{rank}.pt")]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    assert main(tiny_espnet(tmp_path / "alone", *large, max_epoch=1)) == 0
    for process in started:
        _, error = process.communicate(timeout=900)
        assert process.returncode == 0, error[-3000:]
    (one, updates, vectors), (other, *_) = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert torch.equal(one, other)
    assert updates == 5
    state = torch.load(tmp_path / "alone/1epoch.pth", weights_only=True)["encoder.bottleneck._extra_state"]
    assert vectors == unpack(state)[1]["reestimations"][:, 1].tolist()
