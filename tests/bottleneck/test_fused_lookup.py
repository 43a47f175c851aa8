"""The kernel for GPUs, in Triton's interpreter on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqbn.bottleneck import lookup


def test_the_kernel_chooses_what_the_tiled_lookup_chooses():
    pytest.importorskip("triton")
    # Triton decides when it is imported whether kernels are compiled.
    checks = Path(__file__).with_name("interpreted_lookup.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(checks)]
    done = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_triton_that_cannot_be_imported_is_done_without(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "vqbn.bottleneck.fused_lookup", None)
    monkeypatch.setattr(lookup.importlib.util, "find_spec", lambda name: name)
    lookup._has_triton.cache_clear()
    try:
        assert not lookup._has_triton()
        assert [record.message.partition(": ")[0] for record in caplog.records] == [
            "codes are looked up without Triton, which can't be imported"
        ]
    finally:
        lookup._has_triton.cache_clear()
