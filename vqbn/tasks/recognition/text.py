"""Word and character error rates of transcripts."""

from collections.abc import Mapping, Sequence

from vqbn.metrics.evaluation import Evaluation, rate_and_counts
from vqbn.metrics.per import Errors, speaker_errors, total, utterance_errors
from vqbn.tasks.recognition.text_tokens import TextTokens

# Keys of `scores.json` → how a transcript is cut. A space is a character, as in ESPnet's tables.
RATES = {"wer": TextTokens("phn").cut, "cer": TextTokens("char").cut}


def text_errors(
    hypotheses: Mapping[str, str],
    references: Mapping[str, str],
    rate: str,
    source: str = "the hypotheses",
    sclite: bool = False,
) -> dict[str, Errors]:
    """Errors of each utterance in words or characters, in the references' order.

    Args:
        hypotheses: transcript of each utterance, words apart by spaces.
        references: of the same utterances.
        rate: "wer" or "cer".
        source: what the hypotheses came from, for the message.
        sclite: as in `utterance_errors`.

    Raises:
        InputError: as `utterance_errors`.
    """
    cut = RATES[rate]
    return utterance_errors(
        {utterance: cut(text) for utterance, text in hypotheses.items()},
        {utterance: cut(text) for utterance, text in references.items()},
        source=source,
        sclite=sclite,
    )


def evaluate_words(
    hypotheses: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    utt2spk: Mapping[str, str],
    source: str = "the hypotheses",
) -> Evaluation:
    """`wer` and `cer`, pooled; the counts of edits are of words, and there is no silence to leave out.

    `wer_sclite` is `wer` as sclite counts it.

    Args:
        hypotheses: words per utterance.
        references: words per utterance; the same utterances.
        utt2spk: the speaker of each utterance.
        source: what the hypotheses came from, for messages.

    Raises:
        InputError: as `utterance_errors` and `speaker_errors`.
    """
    said, spoken = ({utt: " ".join(words) for utt, words in each.items()} for each in (hypotheses, references))
    errors = text_errors(said, spoken, "wer", source)
    sclite = text_errors(said, spoken, "wer", source, sclite=True)
    scores = rate_and_counts("wer", errors, sclite)
    scores["cer"] = total(text_errors(said, spoken, "cer", source).values()).rate
    speakers = {
        speaker: {
            "edits": counts.edits,
            "reference_length": counts.reference_length,
            "edits_nosil": 0,
            "reference_length_nosil": 0,
        }
        for speaker, counts in speaker_errors(errors, utt2spk).items()
    }
    return Evaluation(scores, errors, speakers, sclite=sclite, utt2spk=utt2spk)
