"""What a clustering says of itself."""

import logging
import re

import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck

LINE = re.compile(
    r"clustered (\d+) vectors for update (\d+) in (\d+\.\d) s: "
    r"mean squared distance (\S+) before, (\S+) now; (\d+) of (\d+) codewords used"
)


def train(verbose: bool) -> VQBottleneck:
    torch.manual_seed(0)
    bottleneck = VQBottleneck(
        4, 4, 8, verbose=verbose, reestimation=ReestimationSchedule(3, 6, 3), reservoir_size=50, num_codebooks=2
    )
    for _ in range(6):
        bottleneck(torch.randn(30, 4))
    return bottleneck


def check(lines: list[str], bottleneck: VQBottleneck) -> None:
    assert len(lines) == len(bottleneck.reestimations) == 2
    for line, event in zip(lines, bottleneck.reestimations, strict=True):
        vectors, update, seconds, before, after, used, total = LINE.fullmatch(line).groups()
        assert (int(vectors), int(update), int(used), int(total)) == (event.vectors, event.update, event.used, 16)
        assert float(before) == pytest.approx(event.inertia_before, rel=1e-3)
        assert float(after) == pytest.approx(event.inertia_after, rel=1e-3)
        assert float(seconds) == pytest.approx(event.seconds, abs=0.051)
        assert event.inertia_after < event.inertia_before


@pytest.mark.parametrize("verbose", [True, False])
def test_it_logs_when_how_many_how_well_and_how_long(verbose, caplog):
    with caplog.at_level(logging.DEBUG, logger="vqbn"):
        bottleneck = train(verbose)
    check([record.getMessage() for record in caplog.records], bottleneck)
    assert {record.levelno for record in caplog.records} == {logging.INFO if verbose else logging.DEBUG}


@pytest.mark.parametrize("verbose", [True, False])
def test_without_logging_it_is_printed_if_verbose(verbose, monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger("vqbn.bottleneck.learner"), "hasHandlers", lambda: False)
    bottleneck = train(verbose)
    printed = capsys.readouterr().err.splitlines()
    if verbose:
        check(printed, bottleneck)
    else:
        assert printed == []
