"""Alignment with pocketsphinx: near the truth where it is known, and honest about what it can't align."""

import gzip
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from vqbn.corpora.corpus import write_data_dir
from vqbn.corpora.mini_speech import VOCABULARY, make_mini_speech
from vqbn.errors import InputError
from vqbn.kaldi import forced_alignment
from vqbn.kaldi.ctm import Segment, read_ctm, write_ctm
from vqbn.kaldi.datadir import Utterance, read_data_dir
from vqbn.kaldi.forced_alignment import align_data_dir, read_lexicon
from vqbn.kaldi.symbols import base_phone

pocketsphinx = pytest.importorskip("pocketsphinx")

WIDE = forced_alignment.BEAMS[-1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini")
    make_mini_speech(out, utterances=12, seed=2)
    return out


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory):
    """The mini corpus's part of the CMU dictionary, which is quicker to read than all of it."""
    words = {word for kind in VOCABULARY.values() for word in kind.split()}
    source = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8").splitlines()
    file = tmp_path_factory.mktemp("lexicon") / "lexicon.txt"
    file.write_text("\n".join(line for line in source if line.split()[0].partition("(")[0] in words))
    return file


@pytest.fixture(scope="module")
def aligned(corpus):
    return align_data_dir(corpus / "train")


@pytest.fixture
def few(corpus, tmp_path):
    """Write a data directory of the mini corpus's first utterances with other transcripts or audio."""

    def write(texts: list[str | None], audio: dict[int, Path] | None = None):
        utterances = list(read_data_dir(corpus / "train").utterances.values())
        some = [
            Utterance(
                utterance.id,
                (audio or {}).get(number, utterance.audio),
                utterance.text if text is None else text,
                utterance.speaker,
            )
            for number, (utterance, text) in enumerate(zip(utterances, texts, strict=False))
        ]
        write_data_dir(tmp_path / "set", some)
        return tmp_path / "set", [utterance.id for utterance in some]

    return write


def frames(segments: list[Segment]) -> np.ndarray:
    """The phone of each frame of 10 ms."""
    table = np.full(round((segments[-1].start + segments[-1].duration) * 100), "", dtype=object)
    for phone, start, duration in segments:
        table[round(start * 100) : round((start + duration) * 100)] = phone
    return table


def agreement(found: dict, expected: dict) -> float:
    """The share of frames with the same phone."""
    pairs = [(frames(segments), frames(expected[utterance])) for utterance, segments in found.items()]
    same = sum((a[: len(b)] == b[: len(a)]).sum() for a, b in pairs)
    return same / sum(min(len(a), len(b)) for a, b in pairs)


def test_alignment_is_near_the_true_one(corpus, aligned):
    truth = read_ctm(corpus / "train/true_phones.ctm")
    assert aligned.keys() == truth.keys()
    assert agreement(aligned, truth) > 0.75
    starts = [
        min(abs(segment.start - other.start) for other in truth[utterance])
        for utterance, segments in aligned.items()
        for segment in segments
    ]
    assert np.mean(np.array(starts) <= 0.05) > 0.95


def test_segments_are_whole_frames_without_gaps_from_the_first_to_the_last(corpus, aligned):
    data = read_data_dir(corpus / "train")
    for utterance, segments in aligned.items():
        ends = [segment.start + segment.duration for segment in segments]
        assert np.allclose([segment.start for segment in segments], [0, *ends[:-1]])
        assert np.allclose(np.array(ends) * 100, np.rint(np.array(ends) * 100))
        samples = soundfile.info(data.utterances[utterance].audio).frames
        assert abs(round(ends[-1] * 100) - (1 + (samples - 400) // 160)) <= 2
        phones = [segment.phone for segment in segments]
        assert set(phones) <= forced_alignment.MODEL_PHONES | {"SIL"}
        assert ("SIL", "SIL") not in itertools.pairwise(phones)


def test_what_is_written_is_what_is_returned(corpus, aligned):
    written = read_ctm(corpus / "train/phones.ctm")
    assert written.keys() == aligned.keys()
    for utterance, segments in aligned.items():
        for a, b in zip(segments, written[utterance], strict=True):
            assert a.phone == b.phone
            assert np.allclose(a[1:], b[1:])


def test_any_number_of_processes_gives_the_same(aligned, few, lexicon):
    folder, ids = few([None] * 4)
    assert align_data_dir(folder, lexicon, nj=2) == {utterance: aligned[utterance] for utterance in ids}


def test_what_finds_no_path_is_tried_with_wider_beams(few, monkeypatch, lexicon):
    folder, ids = few([None] * 2)
    narrow = {"beam": 1e-1, "pbeam": 1e-1, "wbeam": 1e-1}
    with monkeypatch.context() as patch:
        patch.setattr(forced_alignment, "BEAMS", (narrow,))
        with pytest.raises(InputError, match="no alignment found"):
            align_data_dir(folder, lexicon)
        patch.setattr(forced_alignment, "BEAMS", (narrow, WIDE))
        assert list(align_data_dir(folder, lexicon)) == ids


def test_words_that_the_lexicon_lacks_are_named_and_their_utterances_left_out(few, caplog, lexicon):
    folder, ids = few([None, "THE XYZZY DOG FROBNICATES", None])
    assert list(align_data_dir(folder, lexicon, max_unaligned=0.5)) == [ids[0], ids[2]]
    assert f"left out: {ids[1]}: not in the lexicon: xyzzy, frobnicates" in caplog.text
    assert list(read_ctm(folder / "phones.ctm")) == [ids[0], ids[2]]


def test_too_many_unaligned_end_the_run_and_write_nothing(few, lexicon):
    folder, ids = few([None, "XYZZY", "XYZZY"])
    with pytest.raises(InputError, match=rf"2 of 3 .* more than 15% \(--max_unaligned\); the first: {ids[1]}: not in"):
        align_data_dir(folder, lexicon)
    assert not (folder / "phones.ctm").exists()


def test_a_transcript_that_can_not_fit_its_audio_is_left_out(few, tmp_path, caplog, lexicon):
    soundfile.write(tmp_path / "short.wav", np.zeros(4000, np.int16), 16000)
    folder, ids = few([None, "TEACHER " * 20], {1: tmp_path / "short.wav"})
    assert list(align_data_dir(folder, lexicon, max_unaligned=0.5)) == [ids[0]]
    assert f"left out: {ids[1]}: no alignment found for its 20 words in 0.2 s" in caplog.text


@pytest.mark.parametrize("kind", ["missing", "empty", "no transcript"])
def test_unusable_audio_and_transcripts_count_as_bad(few, tmp_path, caplog, kind, lexicon):
    file = tmp_path / "bad.wav"
    if kind == "empty":
        file.write_bytes(b"")
    folder, ids = few([None, "" if kind == "no transcript" else None], {} if kind == "no transcript" else {1: file})
    with pytest.raises(InputError, match=rf"1 of 2 .* \(--max_bad\); the first: {ids[1]}: "):
        align_data_dir(folder, lexicon)
    assert list(align_data_dir(folder, lexicon, max_bad=0.5)) == [ids[0]]


def test_stereo_at_another_rate_is_aligned_alike_and_said_once(few, tmp_path, caplog, lexicon):
    folder, ids = few([None, None])
    expected = align_data_dir(folder, lexicon)
    (folder / "phones.ctm").unlink()
    lines = []
    for utterance in read_data_dir(folder).utterances.values():
        samples, rate = soundfile.read(utterance.audio)
        wide = resample_poly(samples, 3, 1)
        soundfile.write(tmp_path / f"{utterance.id}.wav", np.stack([wide, np.zeros_like(wide)], 1), 3 * rate)
        lines.append(f"{utterance.id} {tmp_path}/{utterance.id}.wav\n")
    (folder / "wav.scp").write_text("".join(lines))
    with caplog.at_level("INFO"):
        table = align_data_dir(folder, lexicon)
    assert sum("2 utterances are of recordings with several channels" in line for line in caplog.messages) == 1
    assert sum("resampled 2 utterances to 16000 Hz: 2 from 48000 Hz" in line for line in caplog.messages) == 1
    for key in ids:
        assert [segment.phone for segment in table[key]] == [segment.phone for segment in expected[key]]
        starts = [[segment.start for segment in each[key]] for each in (table, expected)]
        np.testing.assert_allclose(*starts, atol=0.03)


def test_brackets_in_a_transcript_are_words_like_any_other(few, tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("<UNK> SPN\n[NOISE] NSN\nTHE DH AH0\nDOG D AO1 G\nRAN R AE1 N\n")
    folder, _ = few(["THE DOG <UNK> [NOISE] RAN", "THE DOG RAN"])
    table = align_data_dir(folder, lexicon)
    phones = [" ".join(segment.phone for segment in segments if segment.phone != "SIL") for segments in table.values()]
    assert phones == ["DH AH D AO G SPN NSN R AE N", "DH AH D AO G R AE N"]


def test_words_of_wsj_are_made_from_others(few, tmp_path, caplog):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("THE DH AH0\nDOG D AO1 G\nRAN R AE1 N\nCOMMA K AA1 M AH0\n")
    folder, ids = few(["THE DOG'S <NOISE> ,COMMA DOG-RAN", "THE DOG XYZZY"])
    with caplog.at_level("INFO"):
        table = align_data_dir(folder, lexicon, max_unaligned=0.5)
    phones = [segment.phone for segment in table[ids[0]] if segment.phone != "SIL"]
    assert " ".join(phones) == "DH AH D AO G Z NSN K AA M AH D AO G R AE N"
    assert "4 words made from others that the lexicon has: ,comma <noise> dog's dog-ran" in caplog.text
    assert f"left out: {ids[1]}: not in the lexicon: xyzzy" in caplog.text


def test_an_earlier_alignment_is_kept_but_not_a_strangers(few, lexicon):
    folder, ids = few([None, None])
    kept = {ids[0]: [Segment("SIL", 0.0, 1.0)]}
    write_ctm(folder / "phones.ctm", kept)
    assert align_data_dir(folder, lexicon) == kept
    write_ctm(folder / "phones.ctm", {"x-1": [Segment("SIL", 0.0, 1.0)]})
    with pytest.raises(InputError, match=r"phones.ctm: has the utterance 'x-1', which .*wav.scp doesn't have"):
        align_data_dir(folder, lexicon)


def test_lexicon_strips_stress_and_position_and_keeps_each_pronunciation_once(tmp_path):
    (tmp_path / "lexicon.txt").write_text("A AH0\nA\tEY1\nA AH1\nread(2) R_B IY1_I D_E\n\n;;; comment\nread R EH1 D\n")
    lexicon = read_lexicon(tmp_path / "lexicon.txt")
    assert lexicon == {"a": [("AH",), ("EY",)], "read": [("R", "IY", "D"), ("R", "EH", "D")]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A AH0\nB B I:\n", r"lexicon.txt:2: 'B' has the phone 'I:'; expected CMU phones"),
        ("A AH0\nB\n", r"lexicon.txt:2: 'B' has no phones"),
        ("", "lexicon.txt: no words in it"),
        (None, "lexicon.txt: can't be read: No such file"),
        (b"\xff\xfe\x00", "lexicon.txt:1: not UTF-8"),
    ],
)
def test_a_bad_lexicon_is_refused_with_its_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "lexicon.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_lexicon(tmp_path / "lexicon.txt")


def test_without_pocketsphinx_it_says_what_to_install(few, monkeypatch, lexicon):
    folder, _ = few([None])
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(InputError, match=r"pocketsphinx, which is not installed: run tools/setup.sh or pip install"):
        align_data_dir(folder, lexicon)


def test_real_speech_agrees_with_kaldi(real_data, tmp_path):
    corpus = real_data / "speechocean762"
    data = read_data_dir(corpus / "train", corpus)
    some = list(data.utterances.values())[::150]
    write_data_dir(tmp_path / "train", some)
    found = align_data_dir(tmp_path / "train", corpus / "lexicon.txt")
    assert len(found) == len(some) == 10
    expected: dict[str, list[Segment]] = {}
    with gzip.open(corpus / "kaldi/expected/train/phones.ctm.gz", "rt") as lines:
        for line in lines:
            utterance, _, start, duration, phone = line.split()
            if utterance in found:
                expected.setdefault(utterance, []).append(Segment(base_phone(phone), float(start), float(duration)))
    assert agreement(found, expected) > 0.65
