"""The features of a data directory on disk, in parts: each is whole or not there, so that a stopped run loses little.

A part is `feats.<job>.ark` with a record `feats.<job>.json` beside it, written last, of what it was made from. A part
whose record says the same audio files (path, size, time of change) and settings is not made again.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import kaldiio

from vqbn.errors import InputError
from vqbn.files import replacing, write_text
from vqbn.kaldi.archive import Archive
from vqbn.kaldi.audio import SAMPLE_RATE, Conversion, read_converted
from vqbn.kaldi.datadir import Utterance
from vqbn.kaldi.features import FRAME_SHIFT, MEL_BINS, WINDOW, log_mel
from vqbn.kaldi.source import Source, absolute, identity

# At most this many parts, unless they would hold more than 500 utterances each: enough for progress and processes.
PARTS = 32


@dataclass(frozen=True)
class Part:
    """Some utterances of a set, and where their features go.

    Attributes:
        folder: the set's folder in the dump, an absolute path.
        number: counts from 1.
        audio: utterance id → audio file, or where else the audio comes from.
        backend: which of `vqbn.kaldi.features.BACKENDS` computes the features.
    """

    folder: Path
    number: int
    audio: dict[str, Source]
    backend: str

    @property
    def ark(self) -> Path:
        """The archive with the features."""
        return self.folder / f"feats.{self.number}.ark"

    @property
    def record(self) -> Path:
        """What the archive was made from and holds."""
        return self.ark.with_suffix(".json")

    def inputs(self) -> dict:
        """Everything that the features depend on, as it is in the record."""
        return {
            "settings": {
                "backend": self.backend,
                "sample_rate": SAMPLE_RATE,
                "mel_bins": MEL_BINS,
                "energy": True,
                "dither": 0,
                "frame_shift": FRAME_SHIFT,
                "window": WINDOW,
            },
            "audio": {key: identity(source) for key, source in self.audio.items()},
        }


@dataclass(frozen=True)
class PartContent:
    """What a part holds.

    Attributes:
        part: the part.
        offsets: utterance id → offset in the archive.
        frames: utterance id → number of frames.
        defects: utterance id → why it has no features.
        conversions: utterance id → what was done to its audio, if anything.
    """

    part: Part
    offsets: dict[str, int]
    frames: dict[str, int]
    defects: dict[str, str]
    conversions: dict[str, Conversion] = field(default_factory=dict)

    @property
    def archive(self) -> Archive:
        """Utterance id → float32 (frames, dims)."""
        return Archive(self.part.ark, {key: f"{self.part.ark}:{offset}" for key, offset in self.offsets.items()})


def plan_parts(folder: str | Path, utterances: Sequence[Utterance], backend: str) -> list[Part]:
    """Divide utterances into parts; how depends on nothing but their number."""
    size = min(500, max(10, math.ceil(len(utterances) / PARTS)))
    return [
        Part(
            Path(folder).absolute(),
            number,
            {utterance.id: absolute(utterance.audio) for utterance in utterances[start : start + size]},
            backend,
        )
        for number, start in enumerate(range(0, len(utterances), size), 1)
    ]


def make_part(part: Part) -> PartContent:
    """Compute and write a part. Utterances whose audio can't be used are its defects.

    Raises:
        OSError: the folder can't be written or the disk is full; nothing half-written stays.
    """
    inputs = part.inputs()
    offsets: dict[str, int] = {}
    frames: dict[str, int] = {}
    defects: dict[str, str] = {}
    conversions: dict[str, Conversion] = {}
    with replacing(part.ark) as temporary, temporary.open("wb") as file:
        for key, source in part.audio.items():
            try:
                samples, conversion = read_converted(source)
                features = log_mel(samples, part.backend)
                if len(features) == 0:
                    raise InputError(f"{source}: shorter than one window of {WINDOW} s")
            except InputError as error:
                defects[key] = str(error)
                continue
            offsets[key] = file.tell() + len(f"{key} ".encode())
            frames[key] = len(features)
            if conversion != Conversion():
                conversions[key] = conversion
            kaldiio.save_ark(file, {key: features})
        size = file.tell()
    record = {**inputs, "bytes": size, "offsets": offsets, "frames": frames, "defects": defects}
    record["conversions"] = conversions
    write_text(part.record, json.dumps(record, indent=0) + "\n")
    return PartContent(part, offsets, frames, defects, conversions)


def find_part(part: Part) -> PartContent | None:
    """Give a part that an earlier run finished, if its audio and settings are still the same."""
    try:
        record = json.loads(part.record.read_text(encoding="utf-8"))
        if part.ark.stat().st_size != record["bytes"] or any(record[key] != now for key, now in part.inputs().items()):
            return None
        # A record without conversions was written when stereo and other rates were defects.
        if record["defects"] and "conversions" not in record:
            return None
        conversions = {key: Conversion(*values) for key, values in record.get("conversions", {}).items()}
        return PartContent(part, record["offsets"], record["frames"], record["defects"], conversions)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_other_parts(parts: Iterable[Part]) -> None:
    """Remove what an earlier run with more parts left in the same folders."""
    wanted = {path for part in parts for path in (part.ark, part.record)}
    for folder in {path.parent for path in wanted}:
        for path in folder.glob("feats.*.*"):
            if path not in wanted and path.suffix in (".ark", ".json") and path.name.split(".")[1].isdecimal():
                path.unlink()
