"""A small speech corpus made on the spot: sentences of a toy grammar, spoken by espeak-ng in voices of our own.

It proves that the pipeline works; results are claimed on real speech only. The phone times are the synthesiser's own,
so the alignment is true rather than estimated.

Two of espeak-ng's habits shape the vocabulary. It merges an L or R that follows a vowel into that vowel, without a
time of its own, and it has syllabic L and N: no word here has either. A plosive's event comes at its release, after
the closure; the closure is given to the plosive, which is where people label it.
"""

import contextlib
import ctypes
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqbn.corpora.corpus import write_data_dir
from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.jobs import map_jobs
from vqbn.kaldi.audio import write_wav
from vqbn.kaldi.ctm import Segment, write_ctm
from vqbn.kaldi.datadir import Utterance

logger = logging.getLogger(__name__)

SAMPLE_RATE = 16000
RECORD = "mini_speech.json"
VERSION = 1
DEV_SHARE = 1 / 6
MIN_UTTERANCES = 12
BATCH = 10

# espeak-ng's American English phonemes, without stress marks
CMU_PHONES = {
    **{"p": "P", "b": "B", "t": "T", "t#": "T", "t2": "T", "d": "D", "k": "K", "g": "G", "tS": "CH", "dZ": "JH"},
    **{"f": "F", "v": "V", "T": "TH", "D": "DH", "s": "S", "z": "Z", "S": "SH", "Z": "ZH", "h": "HH"},
    **{"m": "M", "n": "N", "N": "NG", "l": "L", "r": "R", "r-": "R", "w": "W", "j": "Y"},
    **{"a": "AE", "aa": "AE", "A:": "AA", "0": "AA", "O:": "AO", "O2": "AO", "3": "ER", "3:": "ER"},
    **{"V": "AH", "@": "AH", "@2": "AH", "a#": "AH", "E": "EH", "I": "IH", "I2": "IH", "I#": "IH"},
    **{"i": "IY", "i:": "IY", "U": "UH", "u:": "UW"},
    **{"eI": "EY", "aI": "AY", "OI": "OY", "oU": "OW", "aU": "AW"},
    **{"_": "SIL", "_:": "SIL"},
}
GLIDE = ";"  # leads from a high vowel to the next one, and belongs to the first
PLOSIVES = frozenset(("P", "B", "T", "D", "K", "G", "CH", "JH"))
STRESS_MARKS = "',%="

# words in which espeak-ng has a time for each CMU phone; all of them are in the CMU dictionary
VOCABULARY = {
    "person": "boy baby sister father mother brother teacher doctor singer painter driver judge nurse king queen "
    "woman man student lady giant monkey chicken rabbit dog cat fox",
    "thing": "book box cup hat boat stone bag knife spoon shoe watch phone lamp letter picture coin toy bus bike ship "
    "cage page ring song shirt treasure chain kite jacket basket ticket cake cheese egg soup peach sandwich "
    "fish bird duck cow sheep goose pig",
    "things": "books boxes cups hats boats stones bags shoes watches letters coins toys buses ships rings cages eggs "
    "peaches birds ducks cows",
    "place": "house city river beach kitchen station window church island road street town room office bathroom "
    "valley bridge garage",
    "quality": "big young happy yellow quick good brown green white red busy shiny heavy thick thin sweet clever lucky "
    "lazy noisy dirty cheap fresh rich wooden huge funny easy loud smooth",
    "did": "took found bought saw washed kissed pushed painted watched moved wanted gave made cooked touched fixed "
    "shook hid threw caught brought missed changed enjoyed measured chose",
    "went": "ran walked stayed slept sang danced waited jumped stood shouted played talked worked",
    "number": "two three five six seven eight nine ten twenty fifty",
    "owner": "my his this the some",
    "who": "he she we they you",
    "where": "in by behind beside above into under with",
    "when": "today yesterday again quickly slowly",
}
WORDS = {kind: words.split() for kind, words in VOCABULARY.items()}
SUBJECTS = ("who", "the person", "my person", "the quality person", "this quality person")
PREDICATES = (
    "did owner quality thing",
    "did number quality things",
    "did the thing where the place",
    "went where the quality place",
    "went where owner place with owner thing",
)


class Voice(NamedTuple):
    """A speaker: what makes one voice differ from another.

    `pitch` is a range in Hz, `rate` is in words per minute, `formants` scales the formant frequencies in percent
    (higher: a shorter vocal tract) and `bandwidth` their widths.
    """

    name: str
    gender: str
    split: str
    pitch: tuple[int, int]
    rate: int
    formants: int
    bandwidth: int

    def definition(self) -> str:
        """The voice as an espeak-ng voice file."""
        lines = [f"name {self.name}", "language en-us 2", f"gender {'female' if self.gender == 'f' else 'male'}"]
        lines += ["phonemes en-us", "dictrules 3 6", "stressLength 140 120 190 170 0 0 255 300"]
        lines += ["stressAmp 17 16 19 19 19 19 21 19", f"pitch {self.pitch[0]} {self.pitch[1]}", "flutter 2"]
        lines += [f"formant {number} {self.formants} 100 {self.bandwidth}" for number in range(9)]
        return "\n".join(lines) + "\n"


VOICES = (
    Voice("f01", "f", "train", (165, 235), 175, 112, 100),
    Voice("f02", "f", "train", (190, 280), 155, 117, 120),
    Voice("f03", "f", "train", (145, 200), 200, 107, 100),
    Voice("f04", "f", "train", (220, 300), 165, 122, 90),
    Voice("f05", "f", "dev", (180, 250), 185, 115, 105),
    Voice("m01", "m", "train", (82, 118), 170, 100, 100),
    Voice("m02", "m", "train", (68, 95), 150, 92, 110),
    Voice("m03", "m", "train", (105, 150), 205, 97, 95),
    Voice("m04", "m", "train", (90, 140), 185, 104, 120),
    Voice("m05", "m", "dev", (88, 125), 160, 96, 100),
)


class Prompt(NamedTuple):
    """One utterance to make: who says what, at which rate (words per minute) and pitch (percent, 50 is the voice's)."""

    utterance: str
    voice: Voice
    text: str
    rate: int
    pitch: int
    seed: int


class Speech(NamedTuple):
    """What a synthesiser said: float64 samples (N,) in the int16 range, and each phone's first sample, in order."""

    samples: np.ndarray
    phones: list[tuple[str, int]]


def sentence(random: np.random.Generator) -> str:
    """A sentence of the toy grammar, in lower case, perhaps with one comma."""
    pattern = f"{random.choice(SUBJECTS)} {random.choice(PREDICATES)}"
    spoken = " ".join(random.choice(WORDS[word]) if word in WORDS else word for word in pattern.split())
    adverb = random.choice(WORDS["when"])
    return [spoken, f"{spoken} {adverb}", f"{adverb}, {spoken}"][random.integers(3)]


def prompts(utterances: int, seed: int) -> list[Prompt]:
    """Plan the corpus: no sentence twice, a sixth of the utterances for the voices of the development set.

    Args:
        utterances: how many in all.
        seed: chooses sentences, rates and pitches.

    Returns:
        The prompts, sorted by utterance id; the same for the same arguments.
    """
    random = np.random.default_rng(seed)
    shares = {"dev": round(utterances * DEV_SHARE)}
    shares["train"] = utterances - shares["dev"]
    plan, said = [], set()
    for split, share in shares.items():
        voices = [voice for voice in VOICES if voice.split == split]
        for number in range(share):
            text = sentence(random)
            while text in said:
                text = sentence(random)
            said.add(text)
            voice = voices[number % len(voices)]
            rate = round(voice.rate * random.uniform(0.9, 1.1))
            pitch = int(random.integers(42, 59))
            name = f"{voice.name}-{number // len(voices) + 1:04d}"
            plan.append(Prompt(name, voice, text, rate, pitch, int(random.integers(2**31))))
    return sorted(plan)


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        *(
            ("kind", ctypes.c_int),
            ("message", ctypes.c_uint),
            ("text_position", ctypes.c_int),
            ("length", ctypes.c_int),
        ),
        *(("milliseconds", ctypes.c_int), ("sample", ctypes.c_int), ("user_data", ctypes.c_void_p), ("id", _Identity)),
    )


class _CurrentVoice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("languages", ctypes.c_char_p), ("identifier", ctypes.c_char_p))


class Synthesiser:
    """espeak-ng through ctypes, as a context manager.

    The library keeps global state that outlives its own `espeak_Terminate`: oscillator phases and spectra carry over
    from one utterance to the next. So each utterance gets a copy of the library of its own (4 ms), and what is said
    does not depend on what was said before, in whichever process.

    Raises:
        InputError: the wheel `espeakng_loader` is missing or can't be used.
    """

    _retrieval, _phoneme_events, _dont_exit = 2, 1, 0x8000
    _rate, _pitch = 1, 3
    _utf8, _character_position, _phoneme, _end = 1, 1, 7, 0
    _callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise InputError(
                "the mini speech corpus needs espeak-ng, and the package espeakng_loader is not installed: "
                "run tools/setup.sh or pip install 'vqbn[mini]'"
            ) from error
        try:
            self._source = Path(espeakng_loader.get_library_path())
            data = Path(espeakng_loader.get_data_path())
        except RuntimeError as error:
            raise InputError(f"espeak-ng is not whole: {error}: reinstall espeakng_loader") from error
        self._samples: list[np.ndarray] = []
        self._phonemes: list[tuple[str, int]] = []
        self._receiver = self._callback(self._receive)
        self._folder = tempfile.TemporaryDirectory(prefix="vqbn-")
        # espeak-ng cuts paths at 160 characters, and a virtual environment's may be longer
        Path(self._folder.name, "espeak-ng-data").symlink_to(data)

    def __enter__(self) -> "Synthesiser":
        return self

    def __exit__(self, *exception) -> None:
        self._folder.cleanup()

    def say(self, text: str, voice: Voice, rate: int, pitch: int) -> Speech:
        """Speak `text`.

        Args:
            text: a sentence.
            voice: who speaks.
            rate: words per minute.
            pitch: 0 to 99; 50 is the voice's own.

        Returns:
            Samples at 16 kHz in the int16 range, and CMU phones with their first samples; the first phone is at 0 or
            later, the last lasts to the end. Equal arguments give equal values, whatever was said before.

        Raises:
            InputError: espeak-ng fails, does not take the voice, or says a phoneme that has no CMU name.
        """
        self._samples, self._phonemes = [], []
        with self._library() as library:
            source_rate = self._say(library, text, voice, rate, pitch)
        if not self._samples:
            raise InputError(f"espeak-ng said nothing for {text!r}")
        return _at_sample_rate(np.concatenate(self._samples), self._phonemes, source_rate, text)

    @contextlib.contextmanager
    def _library(self) -> Iterator[ctypes.CDLL]:
        """Load a copy of the library; unload it at the end."""
        copy = Path(self._folder.name, "libespeak-ng.so")
        try:
            shutil.copyfile(self._source, copy)
            library = ctypes.CDLL(str(copy))
        except OSError as error:
            raise InputError(
                f"espeak-ng can't be loaded: {error}: reinstall espeakng_loader, or set TMPDIR to a folder with space "
                "from which programs may run"
            ) from error
        try:
            library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_CurrentVoice)
            yield library
        finally:
            ctypes.CDLL(None).dlclose(ctypes.c_void_p(library._handle))
            copy.unlink()

    def _say(self, library: ctypes.CDLL, text: str, voice: Voice, rate: int, pitch: int) -> int:
        """Let the library speak into `_receive`; give its sample rate in Hz."""
        definition = Path(self._folder.name, voice.name)
        definition.write_text(voice.definition())
        options = self._phoneme_events | self._dont_exit
        source_rate = library.espeak_Initialize(self._retrieval, 0, self._folder.name.encode(), options)
        if source_rate <= 0:
            raise InputError(f"espeak-ng failed to start: status {source_rate}: reinstall espeakng_loader")
        library.espeak_SetSynthCallback(self._receiver)
        self._check(library.espeak_SetVoiceByFile(str(definition).encode()), f"load the voice {voice.name}")
        # a voice that is not found can leave the previous one in place without an error
        current = library.espeak_GetCurrentVoice().contents.name
        if current != voice.name.encode():
            raise InputError(f"espeak-ng speaks with the voice {current!r} instead of {voice.name}")
        self._check(library.espeak_SetParameter(self._rate, rate, 0), f"set the rate to {rate}")
        self._check(library.espeak_SetParameter(self._pitch, pitch, 0), f"set the pitch to {pitch}")
        words = text.encode()
        size = ctypes.c_size_t(len(words) + 1)
        status = library.espeak_Synth(words, size, 0, self._character_position, 0, self._utf8, None, None)
        self._check(status, f"say {text!r}")
        self._check(library.espeak_Synchronize(), f"finish saying {text!r}")
        self._check(library.espeak_Terminate(), "stop")
        return source_rate

    def _receive(self, samples, count: int, events) -> int:
        """Take a buffer of samples and the list of events in it, which an event of kind 0 ends."""
        if count > 0:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].kind != self._end:
            if events[number].kind == self._phoneme:
                self._phonemes.append((events[number].id.string.decode(), events[number].sample))
            number += 1
        return 0

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status != 0:
            raise InputError(f"espeak-ng failed to {what}: status {status}: reinstall espeakng_loader")


def _at_sample_rate(samples: np.ndarray, phonemes: list[tuple[str, int]], source_rate: int, text: str) -> Speech:
    """Name the phones as CMU does, give closures to their plosives, and go to 16 kHz."""
    phones: list[tuple[str, int]] = []
    for phoneme, start in phonemes:
        if phoneme == GLIDE:
            continue
        phone = CMU_PHONES.get(phoneme.strip(STRESS_MARKS))
        if phone is None:
            raise InputError(f"espeak-ng's phoneme {phoneme!r} in {text!r} has no CMU phone; known: {list(CMU_PHONES)}")
        if phone in PLOSIVES and phones and phones[-1][0] != "SIL":
            sound = np.flatnonzero(samples[phones[-1][1] : start])
            start = phones[-1][1] + int(sound[-1]) + 1 if len(sound) else start
        if phone == "SIL" and phones and phones[-1][0] == "SIL":
            continue
        if start < len(samples):
            phones.append((phone, start))
    # half a second of import, which --help needs not wait for
    from scipy.signal import resample_poly

    divisor = np.gcd(SAMPLE_RATE, source_rate)
    resampled = resample_poly(samples.astype(np.float64), SAMPLE_RATE // divisor, source_rate // divisor)
    return Speech(resampled, [(phone, round(start * SAMPLE_RATE / source_rate)) for phone, start in phones])


def record(synthesiser: Synthesiser, prompt: Prompt) -> tuple[np.ndarray, list[Segment]]:
    """One utterance with silence around it, a level of its own and the faint noise that any recording has.

    Returns:
        int16 samples (N,) at 16 kHz, and phones that cover them without a gap, from SIL to SIL.
    """
    random = np.random.default_rng(prompt.seed)
    speech = synthesiser.say(prompt.text, prompt.voice, prompt.rate, prompt.pitch)
    before, after = (int(seconds * SAMPLE_RATE) for seconds in random.uniform(0.15, 0.4, 2))
    samples = np.concatenate([np.zeros(before), speech.samples * random.uniform(0.4, 0.9), np.zeros(after)])
    samples += random.normal(0, random.uniform(8, 20), len(samples))
    starts = [("SIL", 0)]
    for phone, start in [*speech.phones, ("SIL", len(speech.samples))]:
        if phone != "SIL" or starts[-1][0] != "SIL":
            starts.append((phone, before + start))
    ends = [start for _, start in starts[1:]] + [len(samples)]
    segments = [
        Segment(phone, start / SAMPLE_RATE, (end - start) / SAMPLE_RATE)
        for (phone, start), end in zip(starts, ends, strict=True)
    ]
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16), segments


def _record_all(job: tuple[list[Prompt], Path]) -> dict[str, list[Segment]]:
    """Make the recordings of some prompts; one job of `make_mini_speech`."""
    some, audio = job
    alignment = {}
    with Synthesiser() as synthesiser:
        for prompt in some:
            samples, alignment[prompt.utterance] = record(synthesiser, prompt)
            write_wav(audio / f"{prompt.utterance}.wav", samples, SAMPLE_RATE)
    return alignment


def make_mini_speech(out: str | Path, utterances: int = 360, seed: int = 1, nj: int = 1) -> bool:
    """Make the corpus: Kaldi data directories `train` and `dev`, split by voice, with the true phone times.

    Each has `wav.scp` (absolute paths), `text`, `utt2spk`, `spk2utt`, `spk2gender` and `true_phones.ctm`; the audio is
    in `<out>/wavs`. The same arguments give the same bits, for any `nj`.

    Args:
        out: the folder to make them in.
        utterances: how many in all.
        seed: chooses sentences, rates, pitches, levels and pauses.
        nj: processes.

    Returns:
        Whether anything had to be made: False if `out` holds this corpus already.

    Raises:
        InputError: too few utterances for the voices, `out` holds something else, or espeak-ng fails.
    """
    out = Path(out).resolve()
    if utterances < MIN_UTTERANCES:
        raise InputError(f"--utterances {utterances}: expected at least {MIN_UTTERANCES}, so that every voice speaks")
    plan = prompts(utterances, seed)
    audio = out / "wavs"
    record_file = out / RECORD
    settings = {"version": VERSION, "utterances": utterances, "seed": seed, "folder": str(out), "complete": True}
    made = _read_record(record_file)
    if made is None and (found := [name for name in ("train", "dev", "wavs") if (out / name).exists()]):
        raise InputError(f"{out / found[0]}: exists and is not a mini corpus: give another folder with --out")
    if made == settings and all((audio / f"{prompt.utterance}.wav").is_file() for prompt in plan):
        logger.info("%s: the mini corpus is there already: %d utterances, seed %d", out, utterances, seed)
        return False
    write_text(record_file, json.dumps({**settings, "complete": False}) + "\n")
    for name in ("train", "dev", "wavs"):
        if (out / name).exists():
            shutil.rmtree(out / name)
    batches = [(plan[start : start + BATCH], audio) for start in range(0, len(plan), BATCH)]
    alignment: dict[str, list[Segment]] = {}
    for part in map_jobs(_record_all, batches, nj, "speaking"):
        alignment |= part
    for split in ("train", "dev"):
        some = [prompt for prompt in plan if prompt.voice.split == split]
        lines = [
            Utterance(prompt.utterance, audio / f"{prompt.utterance}.wav", transcript(prompt.text), prompt.voice.name)
            for prompt in some
        ]
        write_data_dir(out / split, lines, {voice.name: voice.gender for voice in VOICES})
        write_ctm(
            out / split / "true_phones.ctm", {prompt.utterance: alignment[prompt.utterance] for prompt in some}, 4
        )
    write_text(record_file, json.dumps(settings) + "\n")
    seconds = sum(segments[-1].start + segments[-1].duration for segments in alignment.values())
    logger.info("%s: made %d utterances, %.0f s of speech, %d voices", out, len(plan), seconds, len(VOICES))
    return True


def transcript(text: str) -> str:
    """What is said, as a transcript: upper case, no punctuation."""
    return text.replace(",", "").upper()


def _read_record(path: Path) -> dict | None:
    """What an earlier run made; None if there was none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(
            f"{path}: not the record of a mini corpus ({error}): remove the folder {path.parent}"
        ) from error
