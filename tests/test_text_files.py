"""Text files are read the same whatever editors and other systems put around their lines."""

import pytest

from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.ctm import read_ctm
from vqbn.kaldi.datadir import find_problems, read_data_dir
from vqbn.kaldi.forced_alignment import read_lexicon
from vqbn.kaldi.recipe_dir import read_pronunciations
from vqbn.kaldi.speaker_split import read_pairs
from vqbn.kaldi.symbols import read_symbols
from vqbn.kaldi.tokens import Tokens
from vqbn.kaldi.transcripts import read_transcripts
from vqbn.tasks.recognition.trn import read_trn
from vqbn.text_files import read_lines

CHANGES = {
    "byte-order mark": lambda text: "\ufeff" + text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "blank lines": lambda text: text.replace("\n", "\n\n \t\n"),
    "blanks at the end": lambda text: text.replace("\n", " \t\n"),
    "no newline at the end": lambda text: text.removesuffix("\n"),
    "all of it": lambda text: "\ufeff\r\n" + text.replace("\n", " \t\r\n\r\n").rstrip("\n"),
}


def entries(path):
    """Of an scp, which are compared as they were read."""
    return read_scp(path).entries


def symbols(path):
    """Of a token list."""
    return Tokens.read(path).symbols


READERS = {
    read_ctm: "u1 1 0.0 0.1 SIL\nu1 1 0.1 0.2 a\n",
    entries: "u1 text:4\nu2 text:9\n",
    read_transcripts: "u1 the words\nu2 more\n",
    symbols: "<blank> 0\na 1\nb 2\n",
    read_symbols: "<eps> 0\nSIL 1\n",
    read_pairs: "u1 s1\nu2 s2\n",
    read_lexicon: "WORD W ER0 D\nA AH0\n",
    read_pronunciations: "WORD W ER0 D\nA AH0\n",
    read_trn: "a b (u1)\nc (u2)\n",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_what_was_added_around_lines_changes_nothing(tmp_path, monkeypatch, reader, change):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(READERS[reader].encode())
    plain = reader(tmp_path / "text")
    (tmp_path / "text").write_bytes(CHANGES[change](READERS[reader]).encode())
    assert reader(tmp_path / "text") == plain


@pytest.mark.parametrize("change", CHANGES)
def test_nor_in_a_data_directory(tmp_path, change):
    lists = {"wav.scp": "r1 a.wav\nr2 sox b.mp3 -t wav - |\n", "segments": "u1 r1 0 1\nu2 r2 1 -1\n"}
    lists |= {"text": "u1 A B\nu2 C\n", "utt2spk": "u1 s\nu2 s\n", "spk2utt": "s u1 u2\n", "spk2gender": "s f\n"}
    for name, text in lists.items():
        (tmp_path / name).write_bytes(text.encode())
    plain = read_data_dir(tmp_path)
    for name, text in lists.items():
        (tmp_path / name).write_bytes(CHANGES[change](text).encode())
    assert find_problems(tmp_path) == []
    assert read_data_dir(tmp_path) == plain


def test_lines_keep_their_numbers_and_their_odd_characters(tmp_path):
    (tmp_path / "x").write_bytes("\ufeff\r\n a\u2028b\x85\u00e9\r\n\nc".encode())
    assert read_lines(tmp_path / "x", "") == [(2, " a\u2028b\x85\u00e9"), (4, "c")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\xe9\n", r"x:2: not UTF-8 text \(found byte 0xe9\).*; expected words"),
        ("a\n".encode("utf-16"), r"x:1: not UTF-8 text \(found UTF-16\).*; expected words"),
        (None, r"x: can't be read: No such file.*; expected words"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_lines(tmp_path / "x", "expected words")
