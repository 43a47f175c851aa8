"""The kernel for GPUs, in Triton's interpreter on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_kernel_chooses_what_the_tiled_lookup_chooses():
    pytest.importorskip("triton")
    # Triton decides when it is imported whether kernels are compiled.
    checks = Path(__file__).with_name("interpreted_lookup.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(checks)]
    done = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
