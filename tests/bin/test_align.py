"""The command vqbn-align."""

import pytest

from vqbn.bin.align import main
from vqbn.corpora.mini_speech import make_mini_speech
from vqbn.kaldi.ctm import read_ctm
from vqbn.kaldi.datadir import read_data_dir

pytest.importorskip("pocketsphinx")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("mini")
    make_mini_speech(out, utterances=12, seed=4)
    return out


def test_it_aligns_each_set_with_the_lexicon_given_and_keeps_what_is_there(corpus, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(corpus)
    words = {
        word for name in ("train", "dev") for u in read_data_dir(name).utterances.values() for word in u.text.split()
    }
    # any pronunciation will do: what is tested is that it is this one that is used
    (tmp_path / "lexicon.txt").write_text("".join(f"{word} AH0 S IY1\n" for word in sorted(words)))
    options = ["--set", "dev", "--lexicon", str(tmp_path / "lexicon.txt"), "--max_unaligned", "0.5"]
    assert main(options) == 0
    table = read_ctm(corpus / "dev/phones.ctm")
    assert {segment.phone for segments in table.values() for segment in segments} == {"AH", "S", "IY", "SIL"}
    before = (corpus / "dev/phones.ctm").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        assert main(options) == 0
    assert (corpus / "dev/phones.ctm").stat().st_mtime_ns == before
    assert "dev/phones.ctm: is there already" in caplog.text


def test_too_few_aligned_is_one_line_and_status_1(corpus, tmp_path, capsys):
    (tmp_path / "lexicon.txt").write_text("NOTHING AH0\n")
    assert main(["--set", str(corpus / "train"), "--lexicon", str(tmp_path / "lexicon.txt")]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"vqbn-align: error: {corpus / 'train'}: 10 of 10 utterances are unusable, more than 15%")
    assert not (corpus / "train/phones.ctm").exists()
