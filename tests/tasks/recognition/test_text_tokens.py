"""What transcripts are cut into."""

import pytest

from vqbn.bin.make_tokens import main
from vqbn.errors import InputError
from vqbn.kaldi.tokens import Tokens
from vqbn.tasks.recognition.text_tokens import TextTokens

TEXTS = ["THE CAT SAT ON THE MAT", "A CAT AND A RAT", "THE RAT ATE THE HAT", "IT'S THAT CAT"] * 5


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text"
    path.write_text("".join(f"utt{number:02d} {text}\n" for number, text in enumerate(TEXTS)))
    return path


def test_characters_are_put_together_as_they_were_cut():
    units = TextTokens("char")
    assert units.cut(" A  CAT") == ["A", "<space>", "C", "A", "T"]
    assert units.join(units.cut("A CAT")) == "A CAT"
    assert units.symbols(["BA", "A B"]) == ["<space>", "A", "B"]


def test_phones_stand_between_spaces():
    units = TextTokens("phn")
    assert units.cut("AH  K AE T") == ["AH", "K", "AE", "T"]
    assert units.join(["AH", "K"]) == "AH K"


def test_pieces_cover_their_training_text_and_join_to_it(text, tmp_path):
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    out = tmp_path / "units"
    assert main(["--text", str(text), "--token_type", "bpe", "--vocab_size", "30", "--out", str(out)]) == 0
    units, tokens = TextTokens("bpe", out / "bpe.model"), Tokens.read(out / "tokens.txt")
    for line in TEXTS:
        pieces = units.cut(line)
        assert set(pieces) <= set(tokens.symbols)
        assert TextTokens("bpe").join(pieces) == line
    assert not {"<unk>", "<s>", "</s>"} & set(tokens.symbols)
    again = tmp_path / "again"
    assert main(["--text", str(text), "--token_type", "bpe", "--vocab_size", "30", "--out", str(again)]) == 0
    assert (again / "tokens.txt").read_text() == (out / "tokens.txt").read_text()


def test_characters_of_the_training_text_are_the_tokens(text, tmp_path):
    assert main(["--text", str(text), "--token_type", "char", "--out", str(tmp_path)]) == 0
    symbols = Tokens.read(tmp_path / "tokens.txt").symbols
    assert symbols[:3] == ["<blank>", "'", "<space>"]
    assert set(symbols[3:]) == set("".join(TEXTS)) - set(" '")


def test_bad_text_and_models_end_with_one_line(text, tmp_path, capsys):
    (tmp_path / "empty").write_text("utt1\n")
    assert main(["--text", str(tmp_path / "empty"), "--token_type", "char", "--out", str(tmp_path)]) == 1
    assert "holds no transcript" in capsys.readouterr().err
    assert main(["--text", str(tmp_path / "none"), "--token_type", "char", "--out", str(tmp_path)]) == 1
    assert "none: can't be read" in capsys.readouterr().err
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    assert main(["--text", str(text), "--token_type", "bpe", "--vocab_size", "5", "--out", str(tmp_path)]) == 1
    assert "--vocab_size: found 5" in capsys.readouterr().err
    (tmp_path / "bpe.model").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"bpe\.model: not a sentencepiece model"):
        TextTokens("bpe", tmp_path / "bpe.model")


def test_an_utterance_twice_is_refused(tmp_path, capsys):
    (tmp_path / "text").write_text("a B\na C\n")
    assert main(["--text", str(tmp_path / "text"), "--token_type", "char", "--out", str(tmp_path)]) == 1
    assert "text:2: 'a' is here twice" in capsys.readouterr().err
