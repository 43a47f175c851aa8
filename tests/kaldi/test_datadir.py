"""Data directories: read as they are, and refused with the file and line where they are wrong."""

from pathlib import Path

import pytest

from vqbn.errors import InputError
from vqbn.kaldi.datadir import Utterance, find_problems, read_data_dir
from vqbn.kaldi.source import ArchiveItem, Channel, Command, Excerpt

LISTS = {
    "wav.scp": "a-1 wav/a-1.wav\na-2 /corpus/a 2.wav\nb-1 wav/b-1.wav\n",
    "text": "a-1 ONE TWO\na-2\nb-1 THREE\n",
    "utt2spk": "a-1 a\na-2 a\nb-1 b\n",
}


@pytest.fixture
def folder(tmp_path):
    """A data directory of three utterances without the optional lists."""
    for name, content in LISTS.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_reads_utterances_in_order_with_paths_against_the_audio_root(folder):
    data = read_data_dir(folder, audio_root="/root")
    assert list(data.utterances) == ["a-1", "a-2", "b-1"]
    assert data.utterances["a-1"] == Utterance("a-1", Path("/root/wav/a-1.wav"), "ONE TWO", "a")
    assert data.utterances["a-2"] == Utterance("a-2", Path("/corpus/a 2.wav"), "", "a")
    assert data.speakers == {"a", "b"}
    assert read_data_dir(folder).utterances["b-1"].audio == Path("wav/b-1.wav")


def test_optional_lists_that_agree_are_accepted(folder):
    (folder / "spk2utt").write_text("a a-1 a-2\nb b-1\n")
    (folder / "spk2gender").write_text("a f\nb m\n")
    assert find_problems(folder) == []


def test_sorting_is_by_bytes_as_in_the_c_locale(folder):
    for name in LISTS:
        (folder / name).write_text("B x\na x\nz x\né x\n")
    assert find_problems(folder) == []


@pytest.mark.parametrize(
    ("name", "content", "line", "message"),
    [
        ("wav.scp", "a-2 x\na-1 x\nb-1 x\n", 2, "not sorted: 'a-1' comes after 'a-2'"),
        ("text", "a-1 X\na-1 Y\na-2 Z\nb-1 W\n", 2, "'a-1' is here twice, first on line 1"),
        ("text", "a-1 X\na-2 Y\nb-1 Z\nb-2 W\n", 4, "unknown utterance 'b-2'"),
        ("utt2spk", "a-1 a\nb-1 b\n", None, "wav.scp:2: utterance 'a-2' has no line in"),
        ("utt2spk", "a-1 a\na-2\nb-1 b\n", 2, "'a-2' has nothing after it"),
        ("wav.scp", b"a-1 x\na-2 \xff\nb-1 x\n", 2, "not UTF-8"),
        ("wav.scp", "", None, "the file is empty"),
        ("reco2file_and_channel", "a-1 f A\na-2 B\n", 2, "expected 'recording file channel'"),
        ("spk2utt", "a a-1\nb b-1\n", 1, "utterance 'a-2' is missing under speaker 'a'"),
        ("spk2utt", "a a-1 a-2 b-1\nb b-1\n", 1, "utterance 'b-1' under speaker 'a'"),
        ("spk2utt", "a a-1 a-2\n", None, "no line for speaker 'b'"),
        ("spk2gender", "a f\nb male\n", 2, "expected m or f"),
        ("spk2gender", "a f\nc m\n", 2, "unknown speaker 'c'"),
    ],
)
def test_a_wrong_list_is_named_with_its_line(folder, name, content, line, message):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = find_problems(folder)
    expected = f"{folder / name}:{line}: " if line else ""
    assert any(expected in problem and message in problem for problem in problems), problems
    with pytest.raises(InputError) as error:
        read_data_dir(folder)
    assert "\n" not in str(error.value)


def test_every_problem_is_listed_and_the_first_one_raised(folder):
    (folder / "text").write_text("a-1 X\nb-2 Y\n")
    problems = find_problems(folder)
    assert len(problems) == 3
    with pytest.raises(InputError, match="and 2 more") as error:
        read_data_dir(folder)
    assert str(error.value).startswith(problems[0])


def test_a_missing_folder_or_list_says_what_was_expected(folder):
    with pytest.raises(InputError, match=r"nowhere: no such folder; expected a Kaldi data directory"):
        read_data_dir(folder / "nowhere")
    with pytest.raises(InputError, match="text: is a file"):
        read_data_dir(folder / "text")
    (folder / "utt2spk").unlink()
    with pytest.raises(InputError, match="utt2spk: can't be read: No such file"):
        read_data_dir(folder)


def test_an_unreadable_list_is_named(folder):
    (folder / "text").unlink()
    (folder / "text").mkdir()
    with pytest.raises(InputError, match="text: can't be read"):
        read_data_dir(folder)


def test_real_data_directories(real_data):
    corpus = real_data / "speechocean762"
    train = read_data_dir(corpus / "train", audio_root=corpus)
    dev = read_data_dir(corpus / "dev", audio_root=corpus)
    assert (len(train.utterances), len(train.speakers)) == (1500, 75)
    assert (len(dev.utterances), len(dev.speakers)) == (300, 15)
    assert all(utterance.audio.exists() for utterance in dev.utterances.values())


def test_a_command_in_wav_scp_is_kept_as_it_is(folder):
    (folder / "wav.scp").write_text("a-1 sph2pipe -f wav http://x//y.wv1 |\na-2 x.wav\nb-1 y.wav\n")
    audio = [utterance.audio for utterance in read_data_dir(folder, "/root").utterances.values()]
    assert audio == [Command("sph2pipe -f wav http://x//y.wv1"), Path("/root/x.wav"), Path("/root/y.wav")]
    assert str(audio[0]) == "sph2pipe -f wav http://x//y.wv1 |"


def test_a_place_in_an_archive_is_kept_as_such(folder):
    (folder / "wav.scp").write_text("a-1 wav.ark:4\na-2 /x/a b.ark:3000\nb-1 ab:c.wav\n")
    audio = [utterance.audio for utterance in read_data_dir(folder, "/root").utterances.values()]
    assert audio == [
        ArchiveItem(Path("/root/wav.ark"), 4),
        ArchiveItem(Path("/x/a b.ark"), 3000),
        Path("/root/ab:c.wav"),
    ]
    assert str(audio[1]) == "/x/a b.ark:3000"


def test_the_channel_of_a_recording_is_what_its_list_says_or_else_the_given_one(folder):
    (folder / "wav.scp").write_text("a x.wav\nb cat y.wav |\nc z.wav\nd w.wav\n")
    (folder / "segments").write_text("a-1 a 0 1\na-2 b 0 1\nb-1 c 0 1\nb-2 d 0 1\n")
    for name in ("text", "utt2spk"):
        (folder / name).write_text((folder / name).read_text() + "b-2 b\n")
    (folder / "reco2file_and_channel").write_text("a f A\nb f B\nd g 3\n")
    recordings = [Path("x.wav"), Command("cat y.wav"), Path("z.wav"), Path("w.wav")]
    for given, expected in ((None, [1, 2, None, 3]), (2, [1, 2, 2, 3])):
        found = [utterance.audio.recording for utterance in read_data_dir(folder, channel=given).utterances.values()]
        assert found == [
            recording if number is None else Channel(recording, number)
            for recording, number in zip(recordings, expected, strict=True)
        ]


def test_segments_are_stretches_of_recordings(folder):
    (folder / "wav.scp").write_text("a long.wav\nb cat b.wav |\n")
    (folder / "segments").write_text("a-1 a 0.5 2\na-2 a 2 3.25\nb-1 b 1 -1\n")
    data = read_data_dir(folder, "/root")
    assert [utterance.audio for utterance in data.utterances.values()] == [
        Excerpt(Path("/root/long.wav"), 0.5, 2.0),
        Excerpt(Path("/root/long.wav"), 2.0, 3.25),
        Excerpt(Command("cat b.wav"), 1.0, None),
    ]
    assert data.utterances["a-2"].speaker == "a"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a-1 a 0.5", "segments:1: found 'a-1 a 0.5'; expected 'utterance recording start end'"),
        ("a-1 a x 2", "segments:1: found"),
        ("a-1 c 0.5 2", "segments:1: 'a-1' is of the recording 'c'"),
        ("a-1 a 2 2", "segments:1: 'a-1' goes from 2 to 2 s"),
        ("a-1 a -1 2", "segments:1: 'a-1' goes from -1 to 2 s"),
        ("a-1 a nan 2", "segments:1: 'a-1' goes from nan"),
    ],
)
def test_a_wrong_segment_is_named_with_its_line(folder, line, message):
    (folder / "wav.scp").write_text("a long.wav\nb b.wav\n")
    (folder / "segments").write_text(f"{line}\na-2 a 2 3.25\nb-1 b 1 2\n")
    assert any(message in problem for problem in find_problems(folder))


def test_a_recording_without_segments_and_an_utterance_without_transcript_are_named(folder):
    (folder / "wav.scp").write_text("a long.wav\nb b.wav\nc c.wav\n")
    (folder / "segments").write_text("a-1 a 0 1\na-2 a 2 3\nb-1 b 1 2\nb-2 b 3 4\n")
    problems = find_problems(folder)
    assert any("the recording 'c' has no line" in problem for problem in problems)
    assert any("segments:4: utterance 'b-2' has no line in" in problem for problem in problems)
