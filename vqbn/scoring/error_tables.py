"""Where the errors are: per utterance, and per phone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kaldialign import align

from vqbn.files import write_text
from vqbn.scoring.per import Errors, utterance_errors
from vqbn.scoring.trn import read_trn

NOTHING = "*"
# What `write_error_tables` makes in a decoding's folder.
TABLES = ("utterance_errors.tsv", "phone_errors.tsv")


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

    The sums over phones are those of `vqbn.scoring.per`; which of several equally good alignments is taken, and so how
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


def write_utterance_table(path: str | Path, errors: Mapping[str, Errors]) -> None:
    """Write a line per utterance, tab-separated, the worst first: error rate in percent, and counts."""
    lines = ["utterance\tper\tsubstitutions\tdeletions\tinsertions\treference\n"]
    for utterance, row in sorted(errors.items(), key=lambda item: (-item[1].edits, item[0])):
        rate = f"{row.rate:.2f}" if row.reference_length else "-"
        lines.append(
            f"{utterance}\t{rate}\t{row.substitutions}\t{row.deletions}\t{row.insertions}\t{row.reference_length}\n"
        )
    write_text(path, "".join(lines))


def write_error_tables(folder: str | Path) -> None:
    """Write both tables beside the `hyp.trn` and `ref.trn` of a decoding.

    Raises:
        InputError: the files are malformed or of different utterances.
    """
    folder = Path(folder)
    hypotheses, references = read_trn(folder / "hyp.trn"), read_trn(folder / "ref.trn")
    write_utterance_table(folder / TABLES[0], utterance_errors(hypotheses, references, source=str(folder / "hyp.trn")))
    write_phone_table(folder / TABLES[1], phone_table(hypotheses, references))
