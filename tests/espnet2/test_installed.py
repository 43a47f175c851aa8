"""An ESPnet that is not there, or not known."""

from importlib.metadata import PackageNotFoundError

import pytest

from vqbn.bin import espnet_asr_inference, espnet_asr_train, espnet_score
from vqbn.espnet2 import installed

COMMANDS = {"asr-train": espnet_asr_train, "asr-inference": espnet_asr_inference, "score": espnet_score}
SCORE = ["--run", "a", "--set", "dev", "--data", "b", "--token_type", "phn"]


def absent(name):
    raise PackageNotFoundError(name)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("version", "said"), [(absent, "ESPnet is not installed"), (lambda name: "202209", "ESPnet 202209 is installed")]
)
def test_commands_name_the_versions_that_are_known_to_work(name, version, said, monkeypatch, capsys):
    monkeypatch.setattr(installed, "version", version)
    assert COMMANDS[name].main(SCORE if name == "score" else []) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert "202511" in lines[0]
    assert "tools/setup.sh" in lines[0]


def test_a_known_version_passes(monkeypatch):
    monkeypatch.setattr(installed, "version", lambda name: installed.KNOWN[0])
    installed.require_espnet()
