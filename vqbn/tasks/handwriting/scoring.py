"""All scores of one decoded set of lines."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vqbn.corpora.packed_lines import LineDataset
from vqbn.errors import InputError
from vqbn.metrics.evaluation import Evaluation
from vqbn.metrics.probe import Coded, IndexProbe, fit_probe, probe_errors
from vqbn.runs.decoding import output_folder
from vqbn.tasks.handwriting.decoding import DecodedLines, read_decoded_lines
from vqbn.tasks.handwriting.evaluation import character_accuracy, codebook_scores

logger = logging.getLogger(__name__)


def score_sets(
    expdir: str | Path, dump: str | Path, sets: Sequence[str], probe_set: str = "", probe_epochs: int = 20
) -> dict[str, Evaluation]:
    """Score decoded sets of a run.

    Args:
        expdir: the run's folder.
        dump: the folder of lines that stage 2 packed.
        sets: folders of `dump`.
        probe_set: the decoded set that the index-only probe learns on; "": no probe.
        probe_epochs: visits of each of its lines.

    Raises:
        InputError: a set is not decoded, or its files are malformed.
    """
    probe = None
    if probe_set:
        folder = output_folder(expdir, probe_set)
        probe = learn_probe(read_decoded_lines(folder), LineDataset(dump, probe_set), str(folder), probe_epochs)
        if probe is None:
            logger.info("%s: no codes or no transcripts: the probe's character error rate is left out", folder)
    evaluations = {}
    for name in sets:
        folder, dataset = output_folder(expdir, name), LineDataset(dump, name)
        decoded = read_decoded_lines(folder)
        evaluations[name] = evaluate_lines(decoded, dataset, str(folder))
        if probe is not None and (rate := probe_cer(probe, transcribed(decoded, dataset))) is not None:
            evaluations[name].scores["probe_cer"] = rate
    return evaluations


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
