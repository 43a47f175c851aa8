"""Phone error rate: edits between what was recognised and the reference, pooled over the corpus."""

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from kaldialign import edit_distance

from vqbn.errors import InputError


@dataclass(frozen=True)
class Errors:
    """How hypotheses differ from their references, as counts of tokens; sums of these are pooled errors."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference_length: int = 0

    @property
    def edits(self) -> int:
        """The edit distance: substitutions + deletions + insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Edits per hundred reference tokens, in percent; NaN where there is no reference token."""
        return 100 * self.edits / self.reference_length if self.reference_length else math.nan

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference_length + other.reference_length,
        )


def sequence_errors(hypothesis: Sequence[Hashable], reference: Sequence[Hashable], sclite: bool = False) -> Errors:
    """Errors of one hypothesis with all edits costing 1 (Levenshtein).

    Args:
        hypothesis: tokens, phone symbols or indices.
        reference: tokens of the same kind.
        sclite: count the edits of the alignment that NIST's sclite takes, where a substitution costs 4, an insertion
            or deletion 3. It can have more edits than the fewest.
    """
    if sclite:
        return _sclite_errors(list(hypothesis), list(reference))
    counts = edit_distance(list(reference), list(hypothesis))
    return Errors(counts["sub"], counts["del"], counts["ins"], len(reference))


def _sclite_errors(hypothesis: list[Hashable], reference: list[Hashable]) -> Errors:
    """Edits of the alignment that sclite takes: the least weight, traced from the end.

    Where steps weigh the same, a pair of tokens comes before an insertion, and that before a deletion. This decides how
    many edits there are, since four others weigh as much as three substitutions; kaldialign's `sclite_mode` decides
    otherwise, and counted other edits than sclite in one of ten made-up utterances.
    """
    numbers = {token: number for number, token in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    heard = np.array([numbers[token] for token in hypothesis], dtype=np.int64)
    steps = 3 * np.arange(len(heard) + 1)
    rows = [steps]
    for token in reference:
        pairs = rows[-1][:-1] + np.where(heard == numbers[token], 0, 4)
        best = np.concatenate([rows[-1][:1] + 3, np.minimum(pairs, rows[-1][1:] + 3)])
        rows.append(np.minimum.accumulate(best - steps) + steps)
    weights = np.stack(rows).tolist()
    spoken, said = len(reference), len(hypothesis)
    substitutions = deletions = insertions = 0
    while spoken or said:
        here = weights[spoken][said]
        if spoken and said:
            differs = reference[spoken - 1] != hypothesis[said - 1]
            if here == weights[spoken - 1][said - 1] + 4 * differs:
                spoken, said, substitutions = spoken - 1, said - 1, substitutions + differs
                continue
        if said and here == weights[spoken][said - 1] + 3:
            said, insertions = said - 1, insertions + 1
        else:
            spoken, deletions = spoken - 1, deletions + 1
    return Errors(substitutions, deletions, insertions, len(reference))


def phone_errors(hypotheses: Iterable[Sequence[Hashable]], references: Iterable[Sequence[Hashable]]) -> Errors:
    """Errors pooled over a corpus: the counts are summed before `Errors.rate` divides.

    Args:
        hypotheses: one token sequence per utterance.
        references: one token sequence per utterance, in the same order.

    Raises:
        ValueError: there are more of one than of the other.
    """
    return total(sequence_errors(hyp, ref) for hyp, ref in zip(hypotheses, references, strict=True))


def utterance_errors(
    hypotheses: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    drop: Collection[str] = (),
    source: str = "the hypotheses",
    sclite: bool = False,
) -> dict[str, Errors]:
    """Errors of each utterance, in the references' order.

    Args:
        hypotheses: tokens per utterance.
        references: tokens per utterance; the same utterances.
        drop: tokens that are taken out of both sides first (silence for `per_nosil`).
        source: what the hypotheses came from, for the message.
        sclite: as in `sequence_errors`.

    Raises:
        InputError: the references are empty, have no token, or are of other utterances than the hypotheses.
    """
    check_same_utterances(hypotheses, references, source)
    if not any(token not in drop for tokens in references.values() for token in tokens):
        raise InputError(
            f"{source}: the references hold no phone to score against"
            + (f" besides {' '.join(drop)}" if drop else "")
            + f" ({len(references)} utterances); decode a set that has alignments"
        )
    return {
        utt: sequence_errors(
            [token for token in hypotheses[utt] if token not in drop],
            [token for token in tokens if token not in drop],
            sclite,
        )
        for utt, tokens in references.items()
    }


def speaker_errors(errors: Mapping[str, Errors], utt2spk: Mapping[str, str]) -> dict[str, Errors]:
    """Pool the utterances' errors by speaker; sorted by speaker.

    Args:
        errors: per utterance.
        utt2spk: the speaker of each of these utterances, and maybe of others.

    Raises:
        InputError: an utterance has no speaker.
    """
    pooled: dict[str, Errors] = {}
    for utt, counts in errors.items():
        if utt not in utt2spk:
            raise InputError(f"utt2spk: no speaker for utterance {utt!r}; expected a line '{utt} <speaker>'")
        pooled[utt2spk[utt]] = pooled.get(utt2spk[utt], Errors()) + counts
    return dict(sorted(pooled.items()))


def total(errors: Iterable[Errors]) -> Errors:
    """The pooled errors of several utterances or speakers."""
    return sum(errors, Errors())


def check_same_utterances(hypotheses: Mapping[str, object], references: Mapping[str, object], source: str) -> None:
    """Raise InputError unless both hold the same utterances; the message names the first that only one has."""
    for present, absent, without in (
        (references, hypotheses, "no hypothesis"),
        (hypotheses, references, "no reference"),
    ):
        missing = sorted(present.keys() - absent.keys())
        if missing:
            raise InputError(
                f"{source}: {without} for {len(missing)} utterances, the first {missing[0]!r}; "
                "expected the same utterances in both: decode the set again"
            )
