import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqbn.errors import InputError
from vqbn.tasks.recognition.trn import escape, read_trn, write_trn

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


def test_the_file_is_what_sclite_reads(tmp_path):
    write_trn(tmp_path / "hyp.trn", {"spk2-u1": [], "spk1-u1": ["SIL", "AH", "SIL"]})
    assert (tmp_path / "hyp.trn").read_text() == "SIL AH SIL (spk1-u1)\n(spk2-u1)\n"


@given(st.dictionaries(words, st.lists(words, max_size=4), max_size=4))
def test_any_tokens_and_ids_come_back(tmp_path_factory, transcripts):
    path = tmp_path_factory.mktemp("trn") / "ref.trn"
    write_trn(path, transcripts)
    assert read_trn(path) == transcripts


def test_what_sclite_would_interpret_is_escaped():
    assert escape("a b") == "a%20b"
    assert escape("(x)") == "%28x%29"
    assert escape("ə:") == "ə:"
    assert escape("@") == "%40"


def test_comments_and_empty_lines_are_skipped(tmp_path):
    (tmp_path / "a.trn").write_text(";; made by hand\n\nAH B (u1)\n")
    assert read_trn(tmp_path / "a.trn") == {"u1": ["AH", "B"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AH (u1)\nAH B\n", r":2: found 'AH B'"),
        ("AH ()\n", r":1: "),
        ("(u1) AH\n", r":1: "),
        ("A (B) (u1)\n", r":1: "),
        ("AH (u1)\nB (u1)\n", r":2: utterance 'u1' occurs twice"),
    ],
)
def test_malformed_lines_are_named(tmp_path, text, message):
    (tmp_path / "bad.trn").write_text(text)
    with pytest.raises(InputError, match="bad.trn" + message):
        read_trn(tmp_path / "bad.trn")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "bad.trn").write_bytes(b"\x1f\x8b\x00\xff")
    with pytest.raises(InputError, match=r"bad.trn:1: not UTF-8"):
        read_trn(tmp_path / "bad.trn")


def test_empty_tokens_are_refused(tmp_path):
    with pytest.raises(ValueError):
        write_trn(tmp_path / "a.trn", {"u": [""]})
    assert not (tmp_path / "a.trn").exists()
