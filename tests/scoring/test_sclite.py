"""Our counts beside those of NIST's sclite (Debian: sctk), to the last digit."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vqbn.scoring.per import total, utterance_errors
from vqbn.scoring.trn import write_trn

PHONES = "SIL AA AE AH B D EH IY K L M N S T UW".split()  # noqa: SIM905

PROGRAM = shutil.which("sclite") or "/usr/lib/sctk/bin/sclite"  # where Debian puts it


@pytest.fixture(scope="module")
def sclite():
    if not os.access(PROGRAM, os.X_OK):
        pytest.skip("sclite is not installed (Debian: sctk)")
    return PROGRAM


@pytest.fixture(scope="module")
def transcripts():
    """References, and hypotheses from good to hopeless, some empty."""
    rng = np.random.default_rng(0)
    references, hypotheses = {}, {}
    for number in range(200):
        utterance = f"spk{number % 7}-{number:03}"
        references[utterance] = rng.choice(PHONES, rng.integers(1, 60)).tolist()
        heard = [phone for phone in references[utterance] if rng.random() > 0.004 * number]
        heard = [str(rng.choice(PHONES)) if rng.random() < 0.004 * number else phone for phone in heard]
        for _ in range(rng.integers(0, 1 + number // 20)):
            heard.insert(rng.integers(0, len(heard) + 1), str(rng.choice(PHONES)))
        hypotheses[utterance] = heard
    return hypotheses, references


def counts_of(program, folder: Path):
    """Utterance → (substitutions, deletions, insertions, reference length) from sclite's alignments."""
    command = [program, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm", "-s", "-o", "pralign", "stdout"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    table = {}
    for block in re.split(r"\nid: ", result.stdout)[1:]:
        utterance = block[1 : block.index(")")]
        correct, sub, dele, ins = map(int, re.search(r"#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)", block).groups())
        table[utterance] = (sub, dele, ins, correct + sub + dele)
    return table


def test_every_utterance_has_sclites_counts(sclite, transcripts, tmp_path):
    hypotheses, references = transcripts
    write_trn(tmp_path / "hyp.trn", hypotheses)
    write_trn(tmp_path / "ref.trn", references)
    ours = utterance_errors(hypotheses, references, sclite=True)
    expected = counts_of(sclite, tmp_path)
    found = {key: (e.substitutions, e.deletions, e.insertions, e.reference_length) for key, e in ours.items()}
    assert found == expected


def test_the_fewest_edits_are_never_more_than_sclites(transcripts):
    hypotheses, references = transcripts
    fewest, theirs = utterance_errors(hypotheses, references), utterance_errors(hypotheses, references, sclite=True)
    assert all(fewest[key].edits <= theirs[key].edits for key in references)
    good = list(references)[:60]
    assert total(fewest[key] for key in good).edits == total(theirs[key] for key in good).edits
