"""CTM files."""

import pytest

from vqbn.errors import InputError
from vqbn.kaldi.ctm import Segment, read_ctm, write_ctm


def test_round_trip_is_sorted_and_exact(tmp_path):
    table = {"b": [Segment("SIL", 0.0, 0.57), Segment("AH", 0.57, 0.1)], "a": [Segment("T", 0.29, 0.03)]}
    write_ctm(tmp_path / "x.ctm", table)
    assert list(read_ctm(tmp_path / "x.ctm")) == ["a", "b"]
    assert read_ctm(tmp_path / "x.ctm") == table
    assert (tmp_path / "x.ctm").read_text().startswith("a 1 0.29 0.03 T\nb 1 0.00 0.57 SIL\n")


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \t\n"])
def test_confidence_comments_blanks_and_what_editors_add_are_accepted(tmp_path, start, end):
    lines = ["utt A 0.000 0.570 SIL", ";; a comment", "", "  ;; another", "utt A 0.57 0.1 W 0.99", ""]
    (tmp_path / "x.ctm").write_bytes((start + end.join(lines)).encode())
    assert read_ctm(tmp_path / "x.ctm") == {"utt": [Segment("SIL", 0.0, 0.57), Segment("W", 0.57, 0.1)]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("utt 1 0.10 AH", "expected 'utterance channel start duration phone'"),
        ("utt 1 zero 0.10 AH", "expected 'utterance channel start duration phone'"),
        ("utt 1 0.90 -0.10 AH", "expected 0 or more seconds"),
        ("utt 1 nan 0.10 AH", "expected 0 or more seconds"),
        ("utt 1 0.30 0.10 AH", "before the previous one ends"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    (tmp_path / "x.ctm").write_text(f"utt 1 0.0 0.50 SIL\n{line}\n")
    with pytest.raises(InputError, match=message) as error:
        read_ctm(tmp_path / "x.ctm")
    assert "x.ctm:2: " in str(error.value)


def test_missing_empty_and_binary_files(tmp_path):
    (tmp_path / "empty.ctm").touch()
    (tmp_path / "binary.ctm").write_bytes(b"\xff\xfe\x00")
    for name, message in {
        "none": "can't be read",
        "empty": "no segments",
        "binary": "not UTF-8 .*expected a CTM",
    }.items():
        with pytest.raises(InputError, match=message):
            read_ctm(tmp_path / f"{name}.ctm")
