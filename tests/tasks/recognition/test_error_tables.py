"""Error tables: their sums are the pooled errors, and their rows say where those are."""

import numpy as np

from vqbn.metrics.evaluation import evaluate_phones
from vqbn.metrics.per import total, utterance_errors
from vqbn.tasks.recognition.error_tables import phone_table, write_error_tables, write_phone_table
from vqbn.tasks.recognition.trn import write_trn

REFERENCES = {"a": ["SIL", "AH", "T", "SIL"], "b": ["S", "IY", "S"]}
HYPOTHESES = {"a": ["SIL", "AH", "D", "SIL"], "b": ["S", "S", "T"]}


def test_each_phone_has_its_errors():
    table = phone_table(HYPOTHESES, REFERENCES)
    assert list(table) == ["AH", "IY", "S", "SIL", "T"]
    assert (table["T"].count, table["T"].correct, dict(table["T"].mistaken), table["T"].inserted) == (1, 0, {"D": 1}, 1)
    assert (table["IY"].count, table["IY"].deleted) == (1, 1)
    assert (table["SIL"].count, table["SIL"].correct) == (2, 2)


def test_sums_over_phones_are_the_pooled_errors():
    rng = np.random.default_rng(0)
    phones = np.array(["A", "B", "C", "D"])
    references = {f"u{i}": phones[rng.integers(0, 4, rng.integers(1, 20))].tolist() for i in range(50)}
    hypotheses = {f"u{i}": phones[rng.integers(0, 4, rng.integers(0, 20))].tolist() for i in range(50)}
    rows = phone_table(hypotheses, references).values()
    pooled = total(utterance_errors(hypotheses, references).values())
    assert sum(row.count for row in rows) == pooled.reference_length
    assert sum(row.substituted for row in rows) + sum(row.deleted + row.inserted for row in rows) == pooled.edits
    assert all(row.count == row.correct + row.substituted + row.deleted for row in rows)


def test_tables_are_written_for_reading(tmp_path):
    write_phone_table(tmp_path / "phones.tsv", phone_table(HYPOTHESES, REFERENCES))
    assert "T\t1\t0\t1\t0\t1\tD:1\n" in (tmp_path / "phones.tsv").read_text()

    hypotheses, references = HYPOTHESES | {"c": list("BCCB")}, REFERENCES | {"c": list("AAABC")}
    write_trn(tmp_path / "hyp.trn", hypotheses)
    write_trn(tmp_path / "ref.trn", references)
    write_error_tables(tmp_path, evaluate_phones(hypotheses, references, {"a": "s", "b": "s", "c": "t"}))
    counts = "substitutions\tdeletions\tinsertions"
    header = f"\tper\t{counts}\treference\tper_sclite\t" + counts.replace("s\t", "s_sclite\t") + "_sclite"
    assert (tmp_path / "utterance_errors.tsv").read_text().splitlines() == [
        f"utterance{header}",
        "c\t80.00\t3\t1\t0\t5\t100.00\t0\t3\t2",
        "b\t66.67\t0\t1\t1\t3\t66.67\t0\t1\t1",
        "a\t25.00\t1\t0\t0\t4\t25.00\t1\t0\t0",
    ]
    assert (tmp_path / "speaker_errors.tsv").read_text().splitlines() == [
        f"speaker{header}",
        "t\t80.00\t3\t1\t0\t5\t100.00\t0\t3\t2",
        "s\t42.86\t1\t1\t1\t7\t42.86\t1\t1\t1",
    ]
    assert "T\t1\t0\t1\t0\t1\tD:1\n" in (tmp_path / "phone_errors.tsv").read_text()
