"""Symbol tables and base phones."""

import pytest

from vqbn.errors import InputError
from vqbn.kaldi.symbols import base_phone, read_symbols


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
