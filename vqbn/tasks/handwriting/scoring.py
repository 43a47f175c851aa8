"""All scores of one decoded set of lines."""

from collections.abc import Sequence

import numpy as np

from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.metrics.evaluation import Evaluation
from vqbn.metrics.probe import Coded, IndexProbe, fit_probe, probe_errors
from vqbn.tasks.handwriting.decoding import DecodedLines
from vqbn.tasks.handwriting.evaluation import character_accuracy, codebook_scores


def evaluate_lines(decoded: DecodedLines, dataset: LineDataset, source: str) -> Evaluation:
    """Bits per pixel, use of the codebook, both NELBOs and, with alignments, character accuracy.

    Args:
        decoded: with nats.
        dataset: the same set's lines.
        source: what was decoded, for messages.

    Raises:
        InputError: the decoding is of other lines, or of codes alone.
    """
    check_lines(decoded, dataset, source)
    if np.isnan(decoded.nats).any():
        raise InputError(f"{source}: holds codes alone; decode the set again without --codes_only (stage 4)")
    evaluation = Evaluation({"reconstruction_bpd": decoded.bpd})
    if decoded.codes:
        about = decoded.about
        dimensions = about["height"] * about["subsampling"] / about["num_codebooks"]
        scores, evaluation.usage = codebook_scores(decoded.codes, decoded.bpd, about["codebook_size"], dimensions)
        evaluation.scores |= scores
        if dataset.aligned:
            labels = [dataset.labels(line) for line in range(len(dataset))]
            accuracy = character_accuracy(decoded.codes, labels, about["subsampling"], about["codebook_size"])
            if accuracy is not None:
                evaluation.scores["character_accuracy"] = accuracy
    return evaluation


def check_lines(decoded: DecodedLines, dataset: LineDataset, source: str) -> None:
    """Raise InputError unless a decoding is of the set's lines."""
    if decoded.ids != dataset.ids or (decoded.columns != dataset.columns).any():
        raise InputError(
            f"{source}: {len(decoded.ids)} lines that are not the {len(dataset)} of {dataset.name}; decode it again"
        )


def transcribed(decoded: DecodedLines, dataset: LineDataset) -> list[Coded]:
    """The lines that have codes and a transcript, for the probe."""
    return [
        Coded(codes, np.array(dataset.alphabet.encode(text, line), dtype=np.int64))
        for line, codes, text in zip(decoded.ids, decoded.codes, dataset.texts, strict=bool(decoded.codes))
        if text
    ]


def learn_probe(decoded: DecodedLines, dataset: LineDataset, source: str, epochs: int = 20) -> IndexProbe | None:
    """A probe that reads characters from the training set's codes; None without codes or transcripts."""
    check_lines(decoded, dataset, source)
    lines = transcribed(decoded, dataset) if decoded.codes else []
    if not lines:
        return None
    return fit_probe(lines, decoded.about["codebook_size"], len(dataset.alphabet), epochs=epochs)


def probe_cer(probe: IndexProbe, lines: Sequence[Coded]) -> float | None:
    """The character error rate of a probe's readings in percent, pooled; None where nothing is transcribed."""
    return probe_errors(probe, lines).rate if lines else None
