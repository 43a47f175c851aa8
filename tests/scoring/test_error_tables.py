"""Error tables: their sums are the pooled errors, and their rows say where those are."""

import numpy as np

from vqbn.scoring.error_tables import phone_table, write_phone_table, write_utterance_table
from vqbn.scoring.per import total, utterance_errors

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
    write_utterance_table(tmp_path / "utterances.tsv", utterance_errors(HYPOTHESES, REFERENCES))
    assert (tmp_path / "utterances.tsv").read_text().splitlines()[1:] == [
        "b\t66.67\t0\t1\t1\t3",
        "a\t25.00\t1\t0\t0\t4",
    ]
