"""Symbol tables and base phones."""

import pytest

from vqbn.errors import InputError
from vqbn.kaldi.symbols import base_phone, base_phones, read_symbols


@pytest.mark.parametrize(
    ("symbol", "base", "with_stress"),
    [
        ("AH0_I", "AH", "AH0"),
        ("W_B", "W", "W"),
        ("ER1_S", "ER", "ER1"),
        ("SIL", "SIL", "SIL"),
        ("SIL_E", "SIL", "SIL"),
        ("SPN_S", "SPN", "SPN"),
        ("IY2", "IY", "IY2"),
        ("a_b", "a_b", "a_b"),
        ("1", "1", "1"),
    ],
)
def test_position_and_stress_are_stripped(symbol, base, with_stress):
    assert base_phone(symbol) == base
    assert base_phone(symbol, keep_stress=True) == with_stress


def test_table_is_read_in_order(tmp_path):
    (tmp_path / "phones.txt").write_text("<eps> 0\nSIL 1\nAH0_I 20\n")
    assert list(read_symbols(tmp_path / "phones.txt").items()) == [(0, "<eps>"), (1, "SIL"), (20, "AH0_I")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"SIL 1\nSPN\n", ":2: found 'SPN'; expected 'symbol id'"),
        (b"SIL 1\nSPN x\n", ":2: found 'SPN x'"),
        (b"SIL 1\nSPN 1\n", ":2: 'SPN 1': the symbol or the id"),
        (b"SIL 1\nSIL 2\n", ":2: 'SIL 2': the symbol or the id"),
        (b"", ":1: the file is empty"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, content, message):
    (tmp_path / "phones.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_symbols(tmp_path / "phones.txt")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"phones\.txt: can't be read"):
        read_symbols(tmp_path / "phones.txt")


def in_words(*phones):
    """Phones as Kaldi's lang preparation names them, silence without position among them."""
    silence = [f"SIL{end}" for end in ("", "_B", "_E", "_I", "_S")]
    return ["<eps>", *silence, *(f"{phone}_{end}" for phone in phones for end in "BEIS"), "#0", "#1"]


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        (["SIL", "AH0_B", "AH1_I", "T_E"], ["SIL", "AH", "AH", "T"]),
        (["sil", "ah0", "iy1", "t"], ["sil", "ah", "iy", "t"]),
        (["SIL", "AA", "AH0", "T"], None),  # not all of the vowels
        (["i", "i2", "t", "t_S", "a1", "a2", "a3", "a4"], None),
        (["SIL", "T", "T_S", "D", "AA"], None),
        (["SIL", "AH0", "N2"], None),
        (["AH0", "AH3"], None),
        (["h#", "d_B", "t"], None),
    ],
)
def test_only_what_the_whole_set_shows_is_stripped(symbols, expected):
    assert list(base_phones(symbols, "x").values()) == (expected or symbols)
    assert list(base_phones(symbols, "x")) == symbols


def test_a_phone_that_looks_like_a_position_keeps_its_name_under_positions():
    bases = base_phones(in_words("t", "t_S", "a2"), "x")
    assert {bases[f"t_{end}"] for end in "BEIS"} == {"t"}
    assert {bases[f"t_S_{end}"] for end in "BEIS"} == {"t_S"}
    assert {bases[f"a2_{end}"] for end in "BEIS"} == {"a2"}
    assert (bases["SIL"], bases["SIL_S"], bases["<eps>"], bases["#0"]) == ("SIL", "SIL", "<eps>", "#0")


def test_what_is_merged_is_counted_and_named(caplog):
    caplog.set_level("INFO")
    base_phones(in_words("AH0", "AH1", "T"), "phones.txt")
    assert "phones.txt: 17 symbols became 3 phones" in caplog.text
    assert "merged: AH (AH0 AH1)" in caplog.text
    base_phones(["i", "i2", "t"], "x.ctm", strip_stress=True)
    assert "x.ctm: 3 symbols became 2 phones" in caplog.text
    assert "merged: i (i i2)" in caplog.text
    caplog.clear()
    base_phones(["i", "i2", "t"], "x.ctm")
    assert "x.ctm: i2 are kept apart" in caplog.text
    base_phones(["t", "t_S", "d"], "x.ctm")
    assert "x.ctm: t_S are kept apart" in caplog.text
    assert "merged" not in caplog.text


def test_options_decide_where_they_are_given():
    symbols = ["SIL", "AH0_B", "T_E"]
    assert list(base_phones(symbols, "x", strip_stress=False).values()) == ["SIL", "AH0", "T"]
    assert list(base_phones(symbols, "x", strip_position=False).values()) == symbols
    assert list(base_phones(["t", "t_S"], "x", strip_position=True).values()) == ["t", "t"]
