"""Utterances whose targets are the tokens of their transcripts, not the phones of their alignments."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqbn.errors import InputError
from vqbn.kaldi.speech import SpeechDataset, set_statistics
from vqbn.kaldi.tokens import Tokens
from vqbn.kaldi.transcripts import read_transcripts
from vqbn.tasks.recognition.text_tokens import TextTokens


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that transcripts are cut into.

    Attributes:
        cutter: how they are cut.
        tokens: their numbers.
        source: the file of `tokens`, for messages.
    """

    cutter: TextTokens
    tokens: Tokens
    source: Path


def read_vocabulary(token_type: str, folder: str | Path) -> Vocabulary:
    """What `vqbn-make-tokens` wrote.

    Args:
        token_type: "char" or "bpe".
        folder: holds tokens.txt, and bpe.model with "bpe".

    Raises:
        InputError: a file is missing or malformed.
    """
    folder = Path(folder)
    cutter = TextTokens(token_type, folder / "bpe.model" if token_type == "bpe" else None)
    return Vocabulary(cutter, Tokens.read(folder / "tokens.txt"), folder / "tokens.txt")


class TranscribedSpeech(SpeechDataset):
    """As `SpeechDataset`, with the tokens of the transcript as targets.

    Args:
        args, kwargs: of `SpeechDataset`; `tokens` are still the phones of the alignment.
        vocabulary: of the transcripts.

    Attributes:
        transcripts: id → words, apart by single spaces.

    Raises:
        InputError: as `SpeechDataset`; there are no transcripts, or none of an utterance.
    """

    def __init__(self, *args, vocabulary: Vocabulary, **kwargs):
        super().__init__(*args, **kwargs)
        self.vocabulary = vocabulary
        self.transcripts = transcripts_of(self)

    def targets(self, utterance: str, start: int = 0, frames: int | None = None) -> np.ndarray:
        """Tokens of the transcript: int64 (tokens,). Those that the vocabulary lacks are left out.

        Raises:
            ValueError: less than the whole utterance is asked for.
        """
        if start or frames not in (None, self.num_frames[utterance]):
            raise ValueError("a transcript has targets for whole utterances only")
        index = self.vocabulary.tokens.index
        cut = self.vocabulary.cutter.cut(self.transcripts[utterance])
        return np.array([index[token] for token in cut if token in index], dtype=np.int64)

    def check_tokens(self) -> None:
        """Refuse a vocabulary that lacks a token of these transcripts.

        Raises:
            InputError: so it is.
        """
        for utterance in self.utterances:
            for token in self.vocabulary.cutter.cut(self.transcripts[utterance]):
                if token not in self.vocabulary.tokens.index:
                    raise InputError(
                        f"{self.vocabulary.source}: lacks '{token}', which {utterance} in {self.folder / 'text'} has; "
                        "make the tokens from the training transcripts again (stage 1)"
                    )


def transcripts_of(dataset: SpeechDataset) -> dict[str, str]:
    """Utterance → its transcript, as stage 2 keeps it beside the features.

    Raises:
        InputError: there is none, or none of an utterance.
    """
    path = dataset.folder / "text"
    transcripts = read_transcripts(path)
    for utterance in dataset.utterances:
        if not transcripts.get(utterance):
            raise InputError(f"{path}: no transcript for '{utterance}'; run stage 2 again")
    return {utterance: transcripts[utterance] for utterance in dataset.utterances}


def open_transcribed(
    dump: str | Path, name: str, phones: Tokens, cmvn: str, vocabulary: Vocabulary, cache: bool = False
) -> TranscribedSpeech:
    """As `open_set`, with the tokens of the transcripts as targets."""
    return TranscribedSpeech(Path(dump) / name, phones, set_statistics(dump, name, cmvn), cache, vocabulary=vocabulary)
