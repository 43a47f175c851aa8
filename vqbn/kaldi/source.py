"""Where an utterance's audio comes from: a file or part of one, a command, one channel of these, or a stretch."""

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
class ArchiveItem:
    """An audio file within an archive: the entry `file.ark:offset` of a `wav.scp`.

    Attributes:
        path: the archive.
        offset: where in it the audio file begins, in bytes.
    """

    path: Path
    offset: int

    def __str__(self) -> str:
        return f"{self.path}:{self.offset}"


@dataclass(frozen=True)
class Channel:
    """One channel of a recording; where a recording has only one, that one, whatever its number.

    Attributes:
        recording: the file, item or command with all channels.
        number: which one, from 1.
    """

    recording: "Path | ArchiveItem | Command"
    number: int

    def __str__(self) -> str:
        return f"{self.recording}, channel {self.number}"


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a recording, as a `segments` file gives it.

    Attributes:
        recording: where the whole recording is.
        start: where the stretch begins, in seconds.
        end: where it ends, in seconds; None for the recording's end.
    """

    recording: "Recording"
    start: float
    end: float | None

    def __str__(self) -> str:
        return f"{self.recording} from {self.start} s to {'its end' if self.end is None else f'{self.end} s'}"


Recording = Path | ArchiveItem | Command | Channel
Source = Recording | Excerpt


def absolute(source: Source) -> Source:
    """The same source with an absolute path; commands stay as they are."""
    if isinstance(source, Excerpt):
        return Excerpt(absolute(source.recording), source.start, source.end)
    if isinstance(source, Channel):
        return Channel(absolute(source.recording), source.number)
    if isinstance(source, ArchiveItem):
        return ArchiveItem(source.path.absolute(), source.offset)
    return source if isinstance(source, Command) else source.absolute()


def is_missing(source: Source) -> bool:
    """Whether the file isn't there; what a command needs can't be known."""
    if isinstance(source, Excerpt | Channel):
        return is_missing(source.recording)
    if isinstance(source, ArchiveItem):
        return is_missing(source.path)
    return not isinstance(source, Command) and not source.is_file()


def identity(source: Source) -> list | None:
    """What changes when the audio changes, as JSON values; None for a file that isn't there.

    A command's text stands for what it writes.
    """
    if isinstance(source, Excerpt):
        return [identity(source.recording), source.start, source.end]
    if isinstance(source, Channel):
        return [identity(source.recording), f"channel {source.number}"]
    if isinstance(source, ArchiveItem):
        return [identity(source.path), source.offset]
    if isinstance(source, Command):
        return [str(source)]
    try:
        status = os.stat(source)
    except OSError:
        return None
    return [str(source), status.st_size, status.st_mtime_ns]
