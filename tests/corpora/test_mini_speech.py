"""The mini speech corpus: voices that differ, times that are true, the same bits every time."""

import resource
import sys
from collections import defaultdict

import numpy as np
import pytest
import soundfile

from vqbn.bin import make_mini_speech as make_mini_speech_command
from vqbn.corpora import mini_speech
from vqbn.corpora.mini_speech import (
    SAMPLE_RATE,
    VOICES,
    Synthesiser,
    Voice,
    make_mini_speech,
    prompts,
    record,
    transcript,
)
from vqbn.errors import InputError
from vqbn.kaldi.ctm import read_ctm
from vqbn.kaldi.datadir import find_problems, read_data_dir

VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
PLOSIVES = {"B", "CH", "D", "G", "JH", "K", "P", "T"}
CMU = VOWELS | PLOSIVES | {"SIL", "DH", "F", "HH", "L", "M", "N", "NG", "R", "S", "SH", "TH", "V", "W", "Y", "Z", "ZH"}
SENTENCE = "slowly, my father took three yellow coins and saw the big house"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini") / "data"
    assert make_mini_speech(out, utterances=48, seed=3, nj=2)
    return out


@pytest.fixture(scope="module")
def spoken():
    """The same sentence in every voice: voice -> samples and segments."""
    with Synthesiser() as synthesiser:
        return {
            voice: record(synthesiser, mini_speech.Prompt("u", voice, SENTENCE, voice.rate, 50, seed=1))
            for voice in VOICES
        }


def pitch(samples: np.ndarray, segments) -> float:
    """Median fundamental frequency in Hz over the vowels, from the peak of the autocorrelation."""
    found = []
    for phone, start, duration in segments:
        if phone not in VOWELS or duration < 0.06:
            continue
        middle = int((start + duration / 2) * SAMPLE_RATE)
        window = samples[middle - 400 : middle + 400].astype(float)
        window -= window.mean()
        correlation = np.correlate(window, window, "full")[len(window) - 1 :]
        low, high = SAMPLE_RATE // 330, SAMPLE_RATE // 60
        found.append(SAMPLE_RATE / (low + np.argmax(correlation[low:high])))
    return float(np.median(found))


def centroid(samples: np.ndarray, segments) -> float:
    """Mean frequency in Hz of the vowels' power spectrum between 300 and 5,000 Hz: it follows the formants."""
    spectra = []
    for phone, start, duration in segments:
        if phone in VOWELS and duration > 0.06:
            middle = int((start + duration / 2) * SAMPLE_RATE)
            spectra.append(np.abs(np.fft.rfft(samples[middle - 400 : middle + 400] * np.hanning(800))))
    frequency = np.fft.rfftfreq(800, 1 / SAMPLE_RATE)
    band = (frequency > 300) & (frequency < 5000)
    spectrum = np.mean(spectra, axis=0)[band]
    return float((frequency[band] * spectrum).sum() / spectrum.sum())


def test_voices_differ_in_pitch_rate_and_spectrum(spoken):
    pitches = {voice.name: pitch(*spoken[voice]) for voice in VOICES}
    for voice in VOICES:
        assert 0.8 * voice.pitch[0] < pitches[voice.name] < 1.2 * voice.pitch[1], (voice.name, pitches)
    distinct = sorted(pitches.values())
    assert min(b / a for a, b in zip(distinct, distinct[2:], strict=False)) > 1.02
    lengths = {voice.name: len(spoken[voice][0]) for voice in VOICES}
    assert max(lengths.values()) > 1.3 * min(lengths.values())
    centroids = {voice.name: centroid(*spoken[voice]) for voice in VOICES}
    women = [centroids[voice.name] for voice in VOICES if voice.gender == "f"]
    men = [centroids[voice.name] for voice in VOICES if voice.gender == "m"]
    assert np.mean(women) > 1.05 * np.mean(men)
    assert len(VOICES) >= 4


def test_every_voice_says_the_same_phones(spoken):
    sequences = {tuple(segment.phone for segment in segments) for _, segments in spoken.values()}
    assert len(sequences) == 1


def test_phones_are_heard_where_the_times_say(spoken):
    for samples, segments in spoken.values():
        level = defaultdict(list)
        for phone, start, duration in segments:
            piece = samples[int(start * SAMPLE_RATE) : int((start + duration) * SAMPLE_RATE)].astype(float)
            level["vowel" if phone in VOWELS else phone].append(10 * np.log10(np.mean(piece**2) + 1))
        assert min(level["vowel"]) > max(level["SIL"]) + 15
        assert min(level["vowel"]) > max(level["S"]) + 3


def test_a_closure_belongs_to_its_plosive():
    samples = np.concatenate([np.full(1000, 500), np.zeros(600), np.full(900, 300), np.zeros(400)]).astype(np.int16)
    speech = mini_speech._at_sample_rate(samples, [("'a", 0), ("t", 1600), ("_:", 2500), ("_", 2700)], 16000, "at")
    assert speech.phones == [("AE", 0), ("T", 1000), ("SIL", 2500)]


def test_plan_has_enough_of_everything():
    plan = prompts(360, 1)
    assert sum(prompt.voice.split == "train" for prompt in plan) >= 300
    assert sum(prompt.voice.split == "dev" for prompt in plan) == 60
    assert len({prompt.voice.name for prompt in plan}) == len(VOICES)
    assert len({prompt.text for prompt in plan}) == 360
    assert plan == prompts(360, 1)
    assert [prompt.text for prompt in plan] != [prompt.text for prompt in prompts(360, 2)]


def test_corpus_is_two_valid_data_directories_without_a_common_voice(corpus):
    sets = {name: read_data_dir(corpus / name) for name in ("train", "dev")}
    assert [find_problems(corpus / name) for name in sets] == [[], []]
    assert not sets["train"].speakers & sets["dev"].speakers
    assert {len(data.utterances) for data in sets.values()} == {40, 8}
    for data in sets.values():
        for utterance in data.utterances.values():
            assert utterance.audio.is_absolute()
            assert utterance.text == transcript(utterance.text)
            assert utterance.id.startswith(utterance.speaker + "-")


def test_alignment_covers_each_recording_with_cmu_phones(corpus):
    for name in ("train", "dev"):
        data, times = read_data_dir(corpus / name), read_ctm(corpus / name / "true_phones.ctm")
        assert times.keys() == data.utterances.keys()
        for utterance, segments in times.items():
            audio = soundfile.info(data.utterances[utterance].audio)
            assert (audio.samplerate, audio.channels, audio.subtype) == (SAMPLE_RATE, 1, "PCM_16")
            assert 1 < audio.duration < 7
            assert {segment.phone for segment in segments} <= CMU
            assert [segments[0].phone, segments[-1].phone] == ["SIL", "SIL"]
            assert min(segment.duration for segment in segments) > 0.008
            ends = [segment.start + segment.duration for segment in segments]
            starts = [segment.start for segment in segments[1:]]
            assert segments[0].start == 0
            assert np.allclose([*starts, audio.duration], ends, atol=2e-4)


def test_phones_are_those_of_the_cmu_dictionary(corpus):
    pocketsphinx = pytest.importorskip("pocketsphinx")
    kaldialign = pytest.importorskip("kaldialign")
    dictionary = {}
    with open(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as lines:
        for line in lines:
            word, *phones = line.split()
            dictionary.setdefault(word, phones)
    errors = total = 0
    data, times = read_data_dir(corpus / "train"), read_ctm(corpus / "train/true_phones.ctm")
    for utterance, segments in times.items():
        expected = [p for word in data.utterances[utterance].text.lower().split() for p in dictionary[word]]
        found = [segment.phone for segment in segments if segment.phone != "SIL"]
        errors += kaldialign.edit_distance(expected, found)["total"]
        total += len(expected)
    assert errors < 0.06 * total  # unstressed vowels have several pronunciations


def test_the_same_arguments_give_the_same_bits_for_any_number_of_processes(corpus, tmp_path):
    make_mini_speech(tmp_path / "data", utterances=48, seed=3, nj=1)
    files = sorted((corpus / "wavs").iterdir())
    assert len(files) == 48
    for file in files:
        assert (tmp_path / "data/wavs" / file.name).read_bytes() == file.read_bytes()
    for name in ("train/true_phones.ctm", "dev/true_phones.ctm", "train/text"):
        assert (tmp_path / "data" / name).read_bytes() == (corpus / name).read_bytes()


@pytest.mark.parametrize("seed", [0, 1])
def test_an_utterance_does_not_depend_on_those_before_it(seed):
    plan = prompts(24, seed)
    with Synthesiser() as synthesiser:
        first = {prompt.utterance: record(synthesiser, prompt) for prompt in plan}
        for number in np.random.default_rng(seed).permutation(len(plan)):
            samples, segments = record(synthesiser, plan[number])
            assert np.array_equal(samples, first[plan[number].utterance][0])
            assert segments == first[plan[number].utterance][1]


def test_what_is_there_is_kept_and_what_is_missing_is_made_again(corpus):
    file = corpus / "wavs" / "m05-0001.wav"
    before = file.read_bytes()
    assert not make_mini_speech(corpus, utterances=48, seed=3)
    file.unlink()
    assert make_mini_speech(corpus, utterances=48, seed=3)
    assert file.read_bytes() == before


def test_a_full_disk_is_one_line_and_the_corpus_is_made_again(tmp_path, monkeypatch, capsys):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full_from_now(*arguments):
        recorded = record(*arguments)
        # What a process may write to a file ends as a disk does, in the midst of a recording.
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limit[1]))
        return recorded

    try:
        with monkeypatch.context() as patch:
            patch.setattr(mini_speech, "record", full_from_now)
            assert make_mini_speech_command.main(["--out", str(tmp_path), "--utterances", "12"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"vqbn-make-mini-speech: error: {tmp_path}/wavs/")
    assert line.endswith(".wav: File too large")
    assert not (tmp_path / "train").exists()
    assert list((tmp_path / "wavs").iterdir()) == []
    assert make_mini_speech(tmp_path, utterances=12)
    assert find_problems(tmp_path / "train") == []


def test_other_data_is_never_written_over(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/text").write_text("mine")
    with pytest.raises(InputError, match="train: exists and is not a mini corpus: give another folder with --out"):
        make_mini_speech(tmp_path, utterances=12)
    assert [file.name for file in tmp_path.iterdir()] == ["train"]
    assert (tmp_path / "train/text").read_text() == "mine"


def test_a_voice_that_is_not_taken_is_an_error():
    class Impostor(Voice):
        def definition(self):
            return "name somebody\nlanguage en-us\n"

    with Synthesiser() as synthesiser, pytest.raises(InputError, match=r"voice b'somebody' instead of f01"):
        synthesiser.say("hello", Impostor(*VOICES[0]), 170, 50)


def test_an_unknown_phoneme_is_named(monkeypatch):
    monkeypatch.delitem(mini_speech.CMU_PHONES, "Z")
    with Synthesiser() as synthesiser, pytest.raises(InputError, match="phoneme 'Z' in 'my treasure' has no CMU"):
        synthesiser.say("my treasure", VOICES[0], 170, 50)


def test_a_long_path_to_espeak_ng_does_no_harm(tmp_path, monkeypatch):
    import espeakng_loader

    deep = tmp_path / "/".join(["long-directory-name"] * 12)
    deep.mkdir(parents=True)
    (deep / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(deep / "espeak-ng-data"))
    with Synthesiser() as synthesiser:
        assert len(synthesiser.say("hat", VOICES[0], 170, 50).phones) == 4


def test_without_espeak_ng_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=r"espeakng_loader is not installed: run tools/setup.sh or pip install"):
        Synthesiser()
