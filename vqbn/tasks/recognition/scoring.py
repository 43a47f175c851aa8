"""Scores of a recogniser's decoded sets: error rates, use of the codebook, unit quality."""

import functools
from collections.abc import Sequence
from pathlib import Path

from vqbn.errors import InputError
from vqbn.kaldi.silence import checked_silence, read_silence
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.metrics.evaluation import Evaluation, evaluate_codes, evaluate_phones
from vqbn.runs.decoding import output_folder
from vqbn.tasks.recognition.decoding import decoded_name, read_decoded
from vqbn.tasks.recognition.error_tables import write_error_tables
from vqbn.tasks.recognition.text import evaluate_words


def score_sets(
    expdir: str | Path, dump: str | Path, sets: Sequence[str], beam: int = 0, silence_phones: str = ""
) -> dict[str, Evaluation]:
    """Score decoded sets of a run, and write tables of errors by utterance, speaker and phone beside each decoding.

    Args:
        expdir: the run's folder.
        dump: the folder of features that stage 2 made.
        sets: folders of `dump`.
        beam: how many prefixes the search kept; 0 took the best path.
        silence_phones: phones that are silence, apart by blanks; "": those that stage 2 found.

    Returns:
        What the decoding is called → its evaluation.

    Raises:
        InputError: as `score_set`.
    """
    evaluations = {decoded_name(name, beam): score_set(expdir, dump, name, beam, silence_phones) for name in sets}
    for name, evaluation in evaluations.items():
        write_error_tables(output_folder(expdir, name), evaluation)
    return evaluations


def score_set(
    expdir: str | Path, dump: str | Path, set_name: str, beam: int = 0, silence_phones: str = ""
) -> Evaluation:
    """Score one decoded set of a run against its alignments; of a beam search the errors alone.

    Raises:
        InputError: a silence phone is unknown, the set is not decoded, its files are malformed, or they and the
            alignments are of different utterances.
    """
    folder, dump = output_folder(expdir, decoded_name(set_name, beam)), Path(dump)
    decoded = read_decoded(folder)
    tokens = Tokens.read(dump / "tokens.txt")
    dataset = open_set(dump, set_name, tokens)
    missing = sorted(decoded.references.keys() ^ set(dataset.utterances))
    if missing:
        raise InputError(
            f"{folder / 'ref.trn'}: {missing[0]!r} is not both here and in {dump / set_name} "
            f"({len(missing)} such utterances); decode the set again"
        )
    silence = checked_silence(silence_phones, tokens.symbols) if silence_phones else read_silence(dump, tokens)
    evaluate = (
        evaluate_words
        if decoded.about.get("token_type", "phn") != "phn"
        else functools.partial(evaluate_phones, silence=silence)
    )
    evaluation = evaluate(
        decoded.hypotheses,
        decoded.references,
        {utterance: dataset.speaker(utterance) for utterance in dataset.utterances},
        source=str(folder / "hyp.trn"),
    )
    if decoded.codes and not beam:
        scores, evaluation.usage = evaluate_codes(
            decoded.codes,
            {utterance: dataset.segments(utterance) for utterance in dataset.utterances},
            [tokens.index[phone] for phone in silence],
            decoded.about["codebook_size"],
            decoded.about["subsampling"],
            decoded.about["frame_shift"],
            source=str(folder / "codes.scp"),
        )
        evaluation.scores |= scores
    return evaluation
