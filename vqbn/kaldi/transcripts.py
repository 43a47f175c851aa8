"""Kaldi's `text` files: a transcript per utterance."""

from pathlib import Path

from vqbn.errors import InputError
from vqbn.text_files import read_lines


def read_transcripts(path: str | Path) -> dict[str, str]:
    """Utterance → transcript, words apart by single spaces, in the file's order.

    Raises:
        InputError: the file can't be read, is not UTF-8, or has an utterance twice.
    """
    transcripts: dict[str, str] = {}
    for number, line in read_lines(path, "expected 'utterance transcript' lines"):
        utterance, *words = line.split()
        if utterance in transcripts:
            raise InputError(f"{path}:{number}: '{utterance}' is here twice; keep one of its lines")
        transcripts[utterance] = " ".join(words)
    return transcripts
