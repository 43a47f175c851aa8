"""Characters and pieces as targets: whole utterances, WER and CER, from training to the report."""

import json
import shutil
from pathlib import Path

import pytest

from vqbn.bin import decode, make_tokens, report, score, train
from vqbn.tasks.recognition.trn import read_trn

WORDS = {1: "A", 2: "BE", 3: "SO", 4: "OH"}


@pytest.fixture(scope="module")
def dump(speech_dump, tmp_path_factory) -> Path:
    """The made-up speech with a transcript: a word for each phone."""
    from vqbn.kaldi.archive import read_scp

    folder = tmp_path_factory.mktemp("text") / "dump"
    shutil.copytree(speech_dump, folder)
    for name in ("train", "dev"):
        phones = read_scp(folder / name / "phones.scp")
        lines = (f"{utt} {' '.join(WORDS[token] for token in phones[utt][::2])}\n" for utt in sorted(phones))
        (folder / name / "text").write_text("".join(lines))
    return folder


def options(dump, expdir, tokens, tiny_options, **changes):
    return [
        *tiny_options(**{"token_type": "char", "chunk_frames": 0, "max_updates": 12, "validate_every": 6} | changes),
        *("--dump", str(dump), "--tokens", str(tokens), "--expdir", str(expdir), "--lr_milestones", "10"),
    ]


@pytest.fixture(scope="module")
def tokens(dump) -> Path:
    assert (
        make_tokens.main(["--text", str(dump / "train/text"), "--token_type", "char", "--out", str(dump / "char")]) == 0
    )
    return dump / "char"


@pytest.fixture(scope="module")
def run(dump, tokens, tiny_options, tmp_path_factory) -> Path:
    expdir = tmp_path_factory.mktemp("exp") / "bn_reest_lr-char_seed1"
    assert train.main(options(dump, expdir, tokens, tiny_options, reestimation_until=12)) == 0
    for more in ([], ["--beam", "3"]):
        assert decode.main(["--expdir", str(expdir), "--dump", str(dump), *more]) == 0
    assert score.main(["--expdir", str(expdir), "--dump", str(dump)]) == 0
    return expdir


def test_hypotheses_are_words_and_both_rates_are_scored(run, dump):
    references = read_trn(run / "decode_dev/ref.trn")
    transcripts = dict(line.split(maxsplit=1) for line in (dump / "dev/text").read_text().splitlines())
    assert {utt: " ".join(words) for utt, words in references.items()} == transcripts
    scores = json.loads((run / "scores.json").read_text())["dev"]
    assert {"wer", "cer", "perplexity", "phone_purity"} <= scores.keys()
    assert "per" not in scores
    assert scores["reference_length"] == sum(len(words) for words in references.values())
    assert read_trn(run / "decode_dev_beam3/ref.trn") == references


def test_the_best_checkpoint_has_the_lowest_token_error_rate(run):
    points = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    assert all("dev_ter" in point and "dev_per" not in point for point in points)


def test_the_report_has_them_apart_from_the_papers_rows(run, tmp_path):
    assert report.main(["--expdir", str(run.parent), "--out", str(tmp_path / "RESULTS.md")]) == 0
    text = (tmp_path / "RESULTS.md").read_text()
    scores = json.loads((run / "scores.json").read_text())["dev"]
    line = next(line for line in text.splitlines() if line.startswith("| `bn_reest_lr-char` | char"))
    assert f"| {scores['wer']:.1f} | {scores['cer']:.1f} |" in line
    assert f"{scores['wer']:.2f} (WER)" in text


def test_pieces_train_and_a_run_goes_on_where_it_stopped(dump, tiny_options, tmp_path):
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    argv = ["--text", str(dump / "train/text"), "--token_type", "bpe", "--vocab_size", "12", "--out", str(dump / "bpe")]
    assert make_tokens.main(argv) == 0
    changes = {"token_type": "bpe", "vocab_size": 12, "reestimation": "false", "polyak_decay": 0, "checkpoint_every": 2}
    straight = options(dump, tmp_path / "one", dump / "bpe", tiny_options, **changes, max_updates=4)
    assert train.main(straight) == 0
    curve = json.loads((tmp_path / "one/curve.jsonl").read_text().splitlines()[-1])
    assert curve["dev_ter"] > 0
    assert train.main(straight) == 0  # finished: nothing to do


def test_whole_utterances_of_phones_train_too(dump, tiny_options, tmp_path):
    argv = [*tiny_options(chunk_frames=0, max_updates=2, reestimation="false"), "--expdir", str(tmp_path / "run")]
    assert train.main(argv) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chunk_frames": 64}, "--chunk_frames: found 64, expected 0"),
        ({"token_type": "word"}, "--token_type: expected one of phn, char, bpe"),
    ],
)
def test_bad_configurations_end_with_one_line(changes, said, dump, tokens, tiny_options, tmp_path, capsys):
    assert train.main(options(dump, tmp_path / "run", tokens, tiny_options, **changes)) == 1
    assert said in capsys.readouterr().err


def test_a_vocabulary_that_lacks_a_token_is_refused(dump, tokens, tiny_options, tmp_path, capsys):
    (tmp_path / "tokens").mkdir()
    lines = [line.split()[0] for line in (tokens / "tokens.txt").read_text().splitlines() if not line.startswith("S ")]
    (tmp_path / "tokens/tokens.txt").write_text("".join(f"{line} {number}\n" for number, line in enumerate(lines)))
    assert train.main(options(dump, tmp_path / "run", tmp_path / "tokens", tiny_options)) == 1
    assert "tokens/tokens.txt: lacks 'S'" in capsys.readouterr().err


def test_missing_tokens_and_transcripts_are_named(dump, speech_dump, tokens, tiny_options, tmp_path, capsys):
    argv = options(dump, tmp_path / "run", "", tiny_options)
    assert train.main(argv) == 1
    assert "tokens: not given" in capsys.readouterr().err
    assert train.main(options(speech_dump, tmp_path / "run", tokens, tiny_options)) == 1
    assert "train/text: can't be read" in capsys.readouterr().err
