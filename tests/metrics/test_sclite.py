"""Our counts and rates beside those of NIST's sclite (Debian: sctk), to the last digit."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vqbn.metrics.evaluation import evaluate_phones
from vqbn.metrics.per import total, utterance_errors
from vqbn.tasks.recognition.error_tables import write_error_tables
from vqbn.tasks.recognition.trn import write_trn

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
    for number in range(1000):
        utterance = f"spk{number % 7}-{number:03}"
        phones = PHONES[: rng.integers(2, len(PHONES) + 1)]
        references[utterance] = rng.choice(phones, rng.integers(1, 60)).tolist()
        heard = [phone for phone in references[utterance] if rng.random() > 0.0008 * number]
        heard = [str(rng.choice(phones)) if rng.random() < 0.0008 * number else phone for phone in heard]
        for _ in range(rng.integers(0, 1 + number // 100)):
            heard.insert(rng.integers(0, len(heard) + 1), str(rng.choice(phones)))
        hypotheses[utterance] = heard
    return hypotheses, references


def report_of(program, folder: Path, kind: str) -> str:
    """One of sclite's reports on hyp.trn and ref.trn, cases told apart, speakers being what comes before the hyphen."""
    command = [program, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm", "-s", "-o", kind, "stdout"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def counts_of(program, folder: Path):
    """Utterance → (substitutions, deletions, insertions, reference length) from sclite's alignments."""
    table = {}
    for block in re.split(r"\nid: ", report_of(program, folder, "pralign"))[1:]:
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


def speakers_of(report):
    """Speaker, or "Sum" → its row in sclite's `sum` or `rsum`: sentences, words, correct, sub, del, ins, err."""
    rows = re.findall(r"^ *\| *(spk\d|Sum)[^|]*\|(.*)\|$", report, re.MULTILINE)
    return {name: cells.replace("|", " ").split()[:7] for name, cells in rows}


def test_scores_and_tables_have_what_sclite_prints(sclite, transcripts, tmp_path):
    hypotheses, references = transcripts
    write_trn(tmp_path / "hyp.trn", hypotheses)
    write_trn(tmp_path / "ref.trn", references)
    evaluation = evaluate_phones(hypotheses, references, {utterance: utterance[:4] for utterance in references})
    write_error_tables(tmp_path, evaluation)
    header, *rows = [line.split("\t") for line in (tmp_path / "speaker_errors.tsv").read_text().splitlines()]
    ours = {row[0]: dict(zip(header[1:], map(float, row[1:]), strict=True)) for row in rows}
    ours["Sum"] = evaluation.scores | {"reference": evaluation.scores["reference_length"]}
    counts, rates = (speakers_of(report_of(sclite, tmp_path, kind)) for kind in ("rsum", "sum"))
    assert counts.keys() == rates.keys() == ours.keys()
    for speaker, row in counts.items():
        here = ours[speaker]
        edits = [int(here[f"{kind}_sclite"]) for kind in ("substitutions", "deletions", "insertions")]
        assert [int(here["reference"]), *edits, sum(edits)] == [int(row[i]) for i in (1, 3, 4, 5, 6)]
        assert [f"{100 * count / here['reference']:.1f}" for count in edits] == rates[speaker][3:6]
        assert f"{100 * sum(edits) / here['reference']:.1f}" == rates[speaker][6]
        assert here["per_sclite"] == pytest.approx(100 * sum(edits) / here["reference"], abs=0.00501)
    assert evaluation.scores["per_sclite"] > evaluation.scores["per"]


def test_the_fewest_edits_are_never_more_than_sclites(transcripts):
    hypotheses, references = transcripts
    fewest, theirs = utterance_errors(hypotheses, references), utterance_errors(hypotheses, references, sclite=True)
    assert all(fewest[key].edits <= theirs[key].edits for key in references)
    good = list(references)[:300]
    assert total(fewest[key] for key in good).edits == total(theirs[key] for key in good).edits
