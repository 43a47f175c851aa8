"""A set of utterances with features and phone alignments, as stage 2 leaves them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.cmvn import Cmvn, read_cmvn, read_speaker_cmvn
from vqbn.kaldi.deltas import CHANNELS, add_deltas, scale_and_shift, to_channels
from vqbn.kaldi.tokens import Tokens
from vqbn.text_files import read_lines

REACH = 4  # frames on either side that the second derivative looks at


def open_set(dump: str | Path, name: str, tokens: Tokens, cmvn: str = "global", cache: bool = False) -> "SpeechDataset":
    """Open a set that stage 2 made, with its normalisation.

    Args:
        dump: the folder of the sets.
        name: the set, a folder in `dump`.
        tokens: what the alignment's numbers mean.
        cmvn: "global": the training set's statistics for all; "speaker": each speaker's own, which stage 2 makes where
            asked.
        cache: keep the static features in memory once read.

    Raises:
        InputError: a file is missing or malformed.
    """
    return SpeechDataset(Path(dump) / name, tokens, set_statistics(dump, name, cmvn), cache)


def set_statistics(dump: str | Path, name: str, cmvn: str = "global") -> Cmvn | dict[str, Cmvn]:
    """The normalisation of a set, for `SpeechDataset`; arguments and errors as those of `open_set`."""
    return read_cmvn(Path(dump) / "cmvn.ark") if cmvn == "global" else read_speaker_cmvn(Path(dump) / name / "cmvn.scp")


class SpeechDataset:
    """The utterances of `dump/<set>`, sorted, with normalised features and alignments.

    Args:
        folder: holds feats.scp, phones.scp, utt2spk and utt2num_frames.
        tokens: what the alignment's numbers mean.
        cmvn: statistics of static, delta and delta-delta features: one for all, or speaker → theirs.
        cache: keep the static features in memory once read (4 bytes a value: 116 MB per hour of speech).

    Attributes:
        utterances: ids, sorted.
        num_frames: id → frames.
        height: features per frame and channel.

    Raises:
        InputError: a file is missing or malformed, the files name different utterances, there are none, or a speaker
            has no statistics.
    """

    def __init__(self, folder: str | Path, tokens: Tokens, cmvn: Cmvn | Mapping[str, Cmvn], cache: bool = False):
        self.folder = Path(folder)
        self.tokens = tokens
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder of features; stage 2 makes it")
        self._features = read_scp(self.folder / "feats.scp")
        self._phones = read_scp(self.folder / "phones.scp")
        self._speakers = self._read_map("utt2spk")
        self.num_frames = {utt: self._frames(utt, n) for utt, n in self._read_map("utt2num_frames").items()}
        for name, listed in (
            ("phones.scp", self._phones),
            ("utt2spk", self._speakers),
            ("utt2num_frames", self.num_frames),
        ):
            missing = sorted(set(self._features) ^ set(listed))
            if missing:
                raise InputError(
                    f"{self.folder / name}: '{missing[0]}' is not both here and in feats.scp "
                    f"({len(missing)} such utterances); run stage 2 again"
                )
        self.utterances = sorted(self._features)
        speakers = sorted(set(self._speakers.values()))
        by_speaker = dict.fromkeys(speakers, cmvn) if isinstance(cmvn, Cmvn) else cmvn
        if bare := [speaker for speaker in speakers if speaker not in by_speaker]:
            raise InputError(
                f"{self.folder}: no CMVN statistics of the speaker '{bare[0]}' ({len(bare)} such speakers); run stage "
                "2 again"
            )
        dims = sorted({len(by_speaker[speaker].mean) for speaker in speakers})
        if len(dims) > 1 or dims[0] % CHANNELS:
            found = " and ".join(map(str, dims))
            raise InputError(f"{self.folder}: CMVN statistics of {found} dimensions; expected static and two deltas")
        self.height = dims[0] // CHANNELS
        self._normalisation = {
            speaker: scale_and_shift(by_speaker[speaker].mean, by_speaker[speaker].std) for speaker in speakers
        }
        self._cache: dict[str, np.ndarray] | None = {} if cache else None
        self._segments: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.utterances)

    def speaker(self, utterance: str) -> str:
        """Who speaks."""
        return self._speakers[utterance]

    def features(self, utterance: str) -> np.ndarray:
        """All frames of an utterance, normalised: float32 (frames, height, 3)."""
        return self._normalise(utterance, add_deltas(self._static(utterance)))

    def chunk(self, utterance: str, start: int, frames: int) -> np.ndarray:
        """`features(utterance)[start : start + frames]`, without computing the rest."""
        static = self._static(utterance)
        first = max(0, start - REACH)
        deltas = add_deltas(static[first : start + frames + REACH])
        return self._normalise(utterance, deltas[start - first : start - first + frames])

    def segments(self, utterance: str) -> np.ndarray:
        """The alignment: int64 (segments, 2) of token and length in frames, in order; token 0 is a gap.

        Raises:
            InputError: the alignment is damaged, names an unknown token or does not add up to the frames.
        """
        if utterance not in self._segments:
            flat = self._phones[utterance]
            where = f"{self._phones.path}: '{utterance}'"
            if flat.ndim != 1 or len(flat) % 2 or flat.dtype.kind != "i":
                raise InputError(f"{where} is not a vector of token, length pairs; run stage 2 again")
            pairs = flat.reshape(-1, 2).astype(np.int64)
            if len(pairs) and not (pairs[:, 0].min() >= 0 and pairs[:, 0].max() < len(self.tokens)):
                raise InputError(f"{where} has a token that tokens.txt does not have; run stage 2 again")
            if pairs[:, 1].sum() != self.num_frames[utterance] or (pairs[:, 1] < 1).any():
                raise InputError(
                    f"{where}: segments of {pairs[:, 1].sum()} frames in all; expected {self.num_frames[utterance]}; "
                    "run stage 2 again"
                )
            self._segments[utterance] = pairs
        return self._segments[utterance]

    def targets(self, utterance: str, start: int = 0, frames: int | None = None) -> np.ndarray:
        """Tokens of the segments that have a frame in [start, start + frames), gaps left out: int64 (tokens,).

        Two equal phones in a row are two tokens. `frames` None: to the end.
        """
        pairs = self.segments(utterance)
        ends = pairs[:, 1].cumsum()
        starts = ends - pairs[:, 1]
        stop = self.num_frames[utterance] if frames is None else start + frames
        return pairs[(starts < stop) & (ends > start) & (pairs[:, 0] != 0), 0]

    def _static(self, utterance: str) -> np.ndarray:
        if self._cache is not None and utterance in self._cache:
            return self._cache[utterance]
        static = self._features[utterance]
        expected = (self.num_frames[utterance], self.height)
        if static.shape != expected:
            raise InputError(
                f"{self._features.path}: '{utterance}' has features of shape {static.shape}; expected {expected} "
                "(utt2num_frames, cmvn.ark); run stage 2 again"
            )
        if self._cache is not None:
            self._cache[utterance] = static
        return static

    def _normalise(self, utterance: str, features: np.ndarray) -> np.ndarray:
        return to_channels(features, *self._normalisation[self._speakers[utterance]])

    def _read_map(self, name: str) -> dict[str, str]:
        path = self.folder / name
        entries: dict[str, str] = {}
        for number, line in read_lines(path, "stage 2 makes it"):
            fields = line.split()
            if len(fields) != 2 or fields[0] in entries:
                raise InputError(
                    f"{path}:{number}: found '{line[:80]}'; expected 'utterance value', each utterance once"
                )
            entries[fields[0]] = fields[1]
        return entries

    def _frames(self, utterance: str, text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise InputError(f"{self.folder / 'utt2num_frames'}: '{utterance}' has '{text}' frames; expected 1 or more")
        return int(text)
