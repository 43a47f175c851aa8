"""Kaldi's `text` files: a transcript per utterance."""

from pathlib import Path

from vqbn.errors import InputError


def read_transcripts(path: str | Path) -> dict[str, str]:
    """Utterance → transcript, words apart by single spaces, in the file's order.

    Raises:
        InputError: the file can't be read, is not UTF-8, or has an utterance twice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; expected 'utterance transcript' lines") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); expected transcripts") from None
    transcripts: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        utterance, *words = line.split()
        if utterance in transcripts:
            raise InputError(f"{path}:{number}: '{utterance}' is here twice; keep one of its lines")
        transcripts[utterance] = " ".join(words)
    return transcripts
