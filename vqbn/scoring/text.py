"""Word and character error rates of transcripts."""

from collections.abc import Mapping

from vqbn.data.text_units import TextUnits
from vqbn.scoring.per import Errors, utterance_errors

# Keys of `scores.json` → how a transcript is cut. A space is a character, as in ESPnet's tables.
RATES = {"wer": TextUnits("phn").cut, "cer": TextUnits("char").cut}


def text_errors(
    hypotheses: Mapping[str, str], references: Mapping[str, str], rate: str, source: str = "the hypotheses"
) -> dict[str, Errors]:
    """Errors of each utterance in words or characters, in the references' order.

    Args:
        hypotheses: transcript of each utterance, words apart by spaces.
        references: of the same utterances.
        rate: "wer" or "cer".
        source: what the hypotheses came from, for the message.

    Raises:
        InputError: as `utterance_errors`.
    """
    cut = RATES[rate]
    return utterance_errors(
        {utterance: cut(text) for utterance, text in hypotheses.items()},
        {utterance: cut(text) for utterance, text in references.items()},
        source=source,
    )
