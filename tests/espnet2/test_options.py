"""The help of the ESPnet commands: at once, and nothing but help."""

import subprocess
import sys

import pytest

COMMANDS = {
    "espnet_asr_train": "--codebook_lr",
    "espnet_asr_inference": "--asr_model_file",
    "espnet_data": "--chunk_set",
    "espnet_score": "--results",
}
CALL = """
import importlib, sys
try:
    status = importlib.import_module("vqbn.bin." + sys.argv[1]).main([sys.argv[2]])
except SystemExit as end:
    status = end.code
slow = {"torch", "espnet", "espnet2", "lightning", "scipy"} & sys.modules.keys()
print(slow or "nothing slow", file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_slow_and_prints_no_warning(name, option):
    result = subprocess.run([sys.executable, "-c", CALL, name, option], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr == "nothing slow\n"
    assert COMMANDS[name] in result.stdout
    assert "vqbn-" + name.replace("_", "-") in result.stdout
