"""Where an utterance's audio comes from: a file, a command that writes one, or a stretch of either."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A shell command whose standard output is an audio file: the entry `command |` of a `wav.scp`.

    Attributes:
        line: the command, without the bar.
    """

    line: str

    def __str__(self) -> str:
        return f"{self.line} |"


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a recording, as a `segments` file gives it.

    Attributes:
        recording: the file or command with the whole recording.
        start: where the stretch begins, in seconds.
        end: where it ends, in seconds; None for the recording's end.
    """

    recording: Path | Command
    start: float
    end: float | None

    def __str__(self) -> str:
        return f"{self.recording} from {self.start} s to {'its end' if self.end is None else f'{self.end} s'}"


Source = Path | Command | Excerpt


def absolute(source: Source) -> Source:
    """The same source with an absolute path; commands stay as they are."""
    if isinstance(source, Excerpt):
        return Excerpt(absolute(source.recording), source.start, source.end)
    return source if isinstance(source, Command) else source.absolute()


def is_missing(source: Source) -> bool:
    """Whether the file isn't there; what a command needs can't be known."""
    if isinstance(source, Excerpt):
        return is_missing(source.recording)
    return not isinstance(source, Command) and not source.is_file()


def identity(source: Source) -> list | None:
    """What changes when the audio changes, as JSON values; None for a file that isn't there.

    A command's text stands for what it writes.
    """
    if isinstance(source, Excerpt):
        return [identity(source.recording), source.start, source.end]
    if isinstance(source, Command):
        return [str(source)]
    try:
        status = os.stat(source)
    except OSError:
        return None
    return [str(source), status.st_size, status.st_mtime_ns]
