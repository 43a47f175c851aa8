"""Where the errors are: per utterance, per speaker and per phone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kaldialign import align

from vqbn.files import write_text
from vqbn.metrics.evaluation import Evaluation
from vqbn.metrics.per import Errors, speaker_errors
from vqbn.tasks.recognition.trn import read_trn

NOTHING = "*"
# What `write_error_tables` makes in a decoding's folder.
TABLES = ("utterance_errors.tsv", "speaker_errors.tsv", "phone_errors.tsv")


@dataclass
class PhoneErrors:
    """What became of one phone of the references.

    Attributes:
        count: how often the references have it.
        correct: how often it was recognised.
        deleted: how often nothing was recognised for it.
        inserted: how often it was recognised where the reference has nothing.
        mistaken: phone → how often that was recognised in its place.
    """

    count: int = 0
    correct: int = 0
    deleted: int = 0
    inserted: int = 0
    mistaken: Counter = field(default_factory=Counter)

    @property
    def substituted(self) -> int:
        """How often another phone was recognised in its place."""
        return sum(self.mistaken.values())


def phone_table(
    hypotheses: Mapping[str, Sequence[str]], references: Mapping[str, Sequence[str]]
) -> dict[str, PhoneErrors]:
    """Count errors by phone, on alignments with the fewest edits.

    The sums over phones are those of `vqbn.metrics.per`; which of several equally good alignments is taken, and so how
    edits are shared out between phones, is the aligner's choice.

    Args:
        hypotheses: phones per utterance.
        references: phones per utterance; the same utterances.

    Returns:
        Phone → its errors, sorted by phone.
    """
    table: dict[str, PhoneErrors] = {}
    for utterance, reference in references.items():
        for spoken, heard in align(list(reference), list(hypotheses[utterance]), NOTHING):
            if spoken == NOTHING:
                table.setdefault(heard, PhoneErrors()).inserted += 1
                continue
            row = table.setdefault(spoken, PhoneErrors())
            row.count += 1
            if heard == NOTHING:
                row.deleted += 1
            elif heard == spoken:
                row.correct += 1
            else:
                row.mistaken[heard] += 1
    return dict(sorted(table.items()))


def write_phone_table(path: str | Path, table: Mapping[str, PhoneErrors]) -> None:
    """Write a line per phone, tab-separated: counts, and the three that it was most often taken for."""
    lines = ["phone\treference\tcorrect\tsubstituted\tdeleted\tinserted\tmost often taken for\n"]
    for phone, row in table.items():
        confused = sorted(row.mistaken.items(), key=lambda item: (-item[1], item[0]))[:3]
        taken = " ".join(f"{other}:{count}" for other, count in confused)
        lines.append(
            f"{phone}\t{row.count}\t{row.correct}\t{row.substituted}\t{row.deleted}\t{row.inserted}\t{taken}\n"
        )
    write_text(path, "".join(lines))


def write_rate_table(
    path: str | Path, unit: str, rate: str, errors: Mapping[str, Errors], sclite: Mapping[str, Errors]
) -> None:
    """Write a line per utterance or speaker, tab-separated, the worst first: rates in percent, and counts.

    Args:
        path: the file to make.
        unit: what there is a line of, the first column's name.
        rate: the rate's name, "per" or "wer".
        errors: of each utterance or speaker, the fewest edits.
        sclite: of the same, as NIST's sclite counts them.
    """
    kinds = ("substitutions", "deletions", "insertions")
    columns = [unit, rate, *kinds, "reference", f"{rate}_sclite", *(f"{kind}_sclite" for kind in kinds)]
    lines = ["\t".join(columns) + "\n"]
    for name, row in sorted(errors.items(), key=lambda item: (-item[1].edits, item[0])):
        cells: list[object] = [name]
        for counts in (row, sclite[name]):
            cells.append(f"{counts.rate:.2f}" if counts.reference_length else "-")
            cells += [counts.substitutions, counts.deletions, counts.insertions]
            cells += [counts.reference_length] if counts is row else []
        lines.append("\t".join(map(str, cells)) + "\n")
    write_text(path, "".join(lines))


def write_error_tables(folder: str | Path, evaluation: Evaluation) -> None:
    """Write the three tables beside the `hyp.trn` and `ref.trn` of a decoding.

    Args:
        folder: the decoding's.
        evaluation: what its scoring found.

    Raises:
        InputError: the files are malformed.
    """
    by_utterance, by_speaker, by_phone = (Path(folder) / name for name in TABLES)
    rate = "wer" if "wer" in evaluation.scores else "per"
    both = evaluation.utterances, evaluation.sclite
    write_rate_table(by_utterance, "utterance", rate, *both)
    write_rate_table(by_speaker, "speaker", rate, *(speaker_errors(each, evaluation.utt2spk) for each in both))
    write_phone_table(by_phone, phone_table(read_trn(Path(folder) / "hyp.trn"), read_trn(Path(folder) / "ref.trn")))
