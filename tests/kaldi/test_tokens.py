import pytest

from vqbn.errors import InputError
from vqbn.kaldi.tokens import Tokens


def test_written_tokens_read_back(tmp_path):
    Tokens(["<blank>", "AA", "SIL"]).write(tmp_path / "tokens.txt")
    tokens = Tokens.read(tmp_path / "tokens.txt")
    assert tokens.symbols == ["<blank>", "AA", "SIL"]
    assert tokens.index == {"<blank>": 0, "AA": 1, "SIL": 2}
    assert tokens.names([2, 1, 1]) == ["SIL", "AA", "AA"]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("<blank> 0\nAA 2\n", 2, "AA 2"),
        ("<blank> 0\nAA 1\nAA 2\n", 3, "AA"),
        ("AA 0\n", 1, "AA"),
        ("", 1, "''"),
        ("<blank> 0\nAA\n", 2, "'AA'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, line, found):
    path = tmp_path / "tokens.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=f"tokens.txt:{line}: .*{found}"):
        Tokens.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"tokens.txt: can't be read"):
        Tokens.read(tmp_path / "tokens.txt")
