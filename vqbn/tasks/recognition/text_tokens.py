"""What transcripts are cut into: phones or words between spaces, characters, or sentencepiece's pieces."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import replacing

TOKEN_TYPES = ("phn", "char", "bpe")
SPACE = "<space>"
# Sentencepiece's own mark of a word's beginning.
WORD_START = "▁"


class TextTokens:
    """Cuts text into tokens and puts it together again, as ESPnet's tokenizers of the same names do.

    Args:
        token_type: "phn" (what stands between spaces), "char" (a space is `<space>`) or "bpe".
        model: with "bpe", the sentencepiece model's file; needed to cut, not to put together.
    """

    def __init__(self, token_type: str, model: str | Path | None = None):
        if token_type not in TOKEN_TYPES:
            raise ValueError(f"token_type must be one of {', '.join(TOKEN_TYPES)}, not {token_type!r}")
        self.token_type = token_type
        self._pieces = None if model is None or token_type != "bpe" else load_sentencepiece(model)

    def cut(self, text: str) -> list[str]:
        """The tokens of a transcript.

        Raises:
            ValueError: the type is "bpe" and there is no model.
        """
        if self.token_type == "phn":
            return text.split()
        if self.token_type == "char":
            return [SPACE if character == " " else character for character in " ".join(text.split())]
        if self._pieces is None:
            raise ValueError("cutting text into pieces needs the sentencepiece model")
        return self._pieces.EncodeAsPieces(text)

    def join(self, tokens: Sequence[str]) -> str:
        """The text of some tokens, words apart by single spaces."""
        if self.token_type == "phn":
            return " ".join(tokens)
        if self.token_type == "char":
            text = "".join(" " if token == SPACE else token for token in tokens)
        else:
            text = "".join(tokens).replace(WORD_START, " ")
        return " ".join(text.split())

    def symbols(self, texts: Iterable[str]) -> list[str]:
        """All tokens that there are: those of some texts, sorted; with a sentencepiece model its pieces, in its order.

        Sentencepiece's control symbols (unknown, beginning, end) are none of them.
        """
        if self._pieces is not None:
            pieces = self._pieces
            return [
                pieces.IdToPiece(number)
                for number in range(pieces.GetPieceSize())
                if not (pieces.IsUnknown(number) or pieces.IsControl(number))
            ]
        return sorted({token for text in texts for token in self.cut(text)})


def sentencepiece_module():
    """The package sentencepiece.

    Raises:
        InputError: it is not installed.
    """
    try:
        import sentencepiece
    except ImportError:
        raise InputError(
            "token_type bpe needs the package sentencepiece, which is not installed; tools/setup.sh --extras text"
        ) from None
    return sentencepiece


def load_sentencepiece(path: str | Path) -> object:
    """A trained sentencepiece model.

    Raises:
        InputError: the file is missing or no such model, or the package is not installed.
    """
    module = sentencepiece_module()
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; stage 1 trains the sentencepiece model") from None
    processor = module.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(data)
    except RuntimeError:
        raise InputError(f"{path}: not a sentencepiece model; remove it and run stage 1 again") from None
    return processor


def train_sentencepiece(texts: Iterable[str], path: str | Path, vocabulary_size: int) -> None:
    """Train a unigram model (Kudo, 2018) on transcripts; the same texts give the same model.

    Args:
        texts: transcripts.
        path: the file to write.
        vocabulary_size: pieces, three control symbols included; fewer where the text doesn't have so many.

    Raises:
        InputError: there is no text, or it has more characters than `vocabulary_size` pieces.
    """
    texts = [text for text in texts if text]
    if not texts:
        raise InputError("there is no text to train a sentencepiece model on")
    model = io.BytesIO()
    try:
        sentencepiece_module().SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=vocabulary_size,
            model_type="unigram",
            character_coverage=1.0,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise InputError(
            f"--vocab_size: found {vocabulary_size}, which sentencepiece can't make of {len(texts)} transcripts "
            f"({' '.join(str(error).split())[:120]}); give another number"
        ) from None
    with replacing(path) as temporary:
        temporary.write_bytes(model.getvalue())
