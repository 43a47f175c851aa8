"""Which phones are silence."""

import pytest

from vqbn.errors import InputError
from vqbn.kaldi.silence import (
    FILE,
    checked_silence,
    kaldi_silence,
    read_silence,
    usual_silence,
    write_silence,
)
from vqbn.kaldi.tokens import BLANK, Tokens

PHONES = "<eps> 0\nsp 1\nsp_B 2\npau 3\npau_B 4\na_B 5\n"


@pytest.mark.parametrize(
    ("phones", "silence"),
    [
        (["A", "SIL", "sil"], ["SIL"]),
        (["A", "sil"], ["sil"]),
        (["A", "<sil>", "SPN"], ["<sil>"]),
        (["A", "spn", "silk"], []),
    ],
)
def test_the_usual_names(phones, silence):
    assert usual_silence(phones) == silence


@pytest.fixture
def recipe(tmp_path):
    """A Kaldi recipe with alignments, their language folder, and one of other phones."""
    for lang, phones in (("data/lang_a", PHONES.replace("sp", "xx")), ("data/lang_b", PHONES), ("exp/tri3b", PHONES)):
        (tmp_path / lang).mkdir(parents=True)
        (tmp_path / lang / "phones.txt").write_text(phones)
        if lang.startswith("data"):
            (tmp_path / lang / "phones").mkdir()
            (tmp_path / lang / "phones/silence.csl").write_text("1:2:3:4\n")
    (tmp_path / "data/lang_a/phones/optional_silence.txt").write_text("xx\n")
    return tmp_path


def test_kaldis_language_folder_says_it(recipe, monkeypatch):
    assert kaldi_silence(recipe / "exp/tri3b") == ["sp", "pau"]
    (recipe / "data/lang_b/phones/optional_silence.txt").write_bytes(b"\xef\xbb\xbfpau\r\n")
    assert kaldi_silence(recipe / "exp/tri3b") == ["pau"]
    monkeypatch.chdir(recipe / "exp")
    assert kaldi_silence("tri3b") == ["pau"]
    (recipe / "data/lang_b/phones.txt").write_text("other 1\n")
    assert kaldi_silence("tri3b") == []
    (recipe / "exp/tri3b/graph/phones").mkdir(parents=True)
    (recipe / "exp/tri3b/graph/phones.txt").write_text(PHONES)
    (recipe / "exp/tri3b/graph/phones/silence.csl").write_text("1:9\n")
    with pytest.raises(InputError, match=r"silence\.csl: found '9'; expected ids of"):
        kaldi_silence("tri3b")


def test_a_symbol_table_given_brings_its_folder(recipe):
    (recipe / "exp/tri3b/phones.txt").unlink()
    assert kaldi_silence(recipe / "exp/tri3b") == []
    assert kaldi_silence(recipe / "exp/tri3b", recipe / "data/lang_b/phones.txt") == ["sp", "pau"]


def test_what_is_written_is_read_and_names_count_without_it(tmp_path):
    tokens = Tokens([BLANK, "a", "pau", "sil"])
    assert read_silence(tmp_path, tokens) == ["sil"]
    write_silence(tmp_path, ["pau", "h#"])
    assert read_silence(tmp_path, tokens) == ["pau"]
    write_silence(tmp_path, ["SIL"])
    assert read_silence(tmp_path, tokens) == ["sil"]
    write_silence(tmp_path, [])
    assert not (tmp_path / FILE).exists()


def test_an_unknown_phone_is_named():
    assert checked_silence("b a", {"a", "b"}) == ["b", "a"]
    with pytest.raises(InputError, match="no phone 'sil'; there are SIL a"):
        checked_silence("SIL sil", {"a", "SIL"})
