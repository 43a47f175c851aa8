"""WSJ's transcripts (`.dot` files) and how Kaldi's WSJ recipe normalises them."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from vqbn.errors import InputError

logger = logging.getLogger(__name__)

NOISE = "<NOISE>"
LINE = re.compile(r"(?P<text>.*)\((?P<utterance>\w{8})\)\s*")
# A folder's transcripts are in one file per speaker and session, named like its utterances but for the last two places.
NAME = re.compile(r"(?P<session>\w{6})00\.dot", re.IGNORECASE)

# What is no word: noises that overlap a word ([<door_slam], [door_slam>]) or go on over several ([phone_ring/] to
# [/phone_ring]), an utterance that was cut off (~), a pause (.).
NO_WORD = re.compile(r"\[<\w+\]|\[\w+>\]|.*\[\w+/\]|.*\[/\w+\]|~|\.", re.ASCII)
SOUND = re.compile(r"\[\w+\]", re.ASCII)
UNREAD = re.compile(r"<([\w']+)>")  # words that the prompt has; they were spoken
SPELT_OUT = {"%PERCENT": "PERCENT", ".POINT": "POINT", "--DASH": "-DASH"}  # as the CMU dictionary has them


def normalise(transcript: str, noise: str = NOISE) -> str:
    """Turn a transcript of the discs into words as Kaldi's WSJ recipe has them: upper case, one word for all noises."""
    words = []
    for word in transcript.upper().split():
        # A backslash quotes the next character, as in `I\\.`.
        word = word.replace("\\", "")
        word = SPELT_OUT.get(word, word)
        if NO_WORD.fullmatch(word):
            continue
        if SOUND.search(word):
            words.append(noise)
        elif match := UNREAD.fullmatch(word):
            words.append(match[1])
        else:
            words.append(word)
    return " ".join(words)


class Transcripts:
    """The transcripts in many `.dot` files, read when they are asked for.

    Args:
        files: `.dot` files; of two for the same session that have the same utterance, the later one counts, as in
            Kaldi's recipe.
    """

    def __init__(self, files: Iterable[Path]):
        self.files: dict[str, list[Path]] = {}
        for file in files:
            if match := NAME.fullmatch(file.name):
                self.files.setdefault(match["session"].lower(), []).append(file)
        self._session = ""
        self._texts: dict[str, str] = {}
        self._twice: dict[str, str] = {}

    def find(self, utterance: str) -> str:
        """Give an utterance's normalised transcript.

        Args:
            utterance: its id, eight characters in lower case; ask in sorted order, so that a file is read once.

        Raises:
            InputError: there is none, or there are two that differ in one file.
        """
        session = utterance[:6]
        if session != self._session:
            self._session, self._texts, self._twice = session, {}, {}
            for file in self.files.get(session, ()):
                self._texts |= self._read(file)
        if utterance in self._twice:
            raise InputError(f"{self._twice[utterance]}: a second transcript, which differs from the first")
        if utterance not in self._texts:
            files = self.files.get(session)
            raise InputError(f"no transcript in {files[-1] if files else f'any {session}00.dot'}")
        return self._texts[utterance]

    def _read(self, file: Path) -> dict[str, str]:
        """Utterance → text of one file."""
        texts: dict[str, str] = {}
        for number, line in enumerate(file.read_text(encoding="latin-1").splitlines(), 1):
            if not line.strip():
                continue
            match = LINE.fullmatch(line)
            if not match:
                logger.warning("%s:%d: ignored: found '%s'; expected 'text (utterance)'", file, number, line[:60])
                continue
            utterance, text = match["utterance"].lower(), normalise(match["text"])
            if texts.setdefault(utterance, text) != text:
                self._twice[utterance] = f"{file}:{number}"
        return texts
