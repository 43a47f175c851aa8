import json
import shutil

import pytest

from vqbn.bin import decode
from vqbn.bin.score import main
from vqbn.runs.checkpoint import load_run
from vqbn.runs.config import configuration_hash
from vqbn.runs.results import find_result, read_result
from vqbn.tasks.recognition.task import RECOGNITION

CODE_SCORES = {
    "perplexity", "perplexity_nosil", "used_codes", "codes_seen", "codebook_size", "phone_purity", "pnmi",
    "bits_per_second",
}  # fmt: skip
PHONE_SCORES = {
    "per", "per_nosil", "per_sclite", "substitutions", "deletions", "insertions", "reference_length",
    "substitutions_sclite", "deletions_sclite", "insertions_sclite",
}  # fmt: skip


@pytest.fixture
def runs(decoded_runs, tmp_path):
    """Decoded runs, free to score and damage; their archives are still those of the originals."""
    shutil.copytree(decoded_runs, tmp_path / "exp")
    return tmp_path / "exp"


def score(runs, dump, *options, run="bn_reest_lr_seed1"):
    return main(["--expdir", str(runs / run), "--dump", str(dump), *options])


def test_scores_are_written_and_printed_with_the_keys_that_apply(runs, speech_dump, capsys):
    assert score(runs, speech_dump, "--set", "dev", "--set", "train") == 0
    scores = json.loads((runs / "bn_reest_lr_seed1/scores.json").read_text())
    assert list(scores) == ["dev", "train"]
    for values in scores.values():
        assert values.keys() == PHONE_SCORES | CODE_SCORES
        assert 1 <= values["perplexity"] <= values["used_codes"] <= values["codebook_size"] == 16
        assert 0 < values["pnmi"] <= 1
    printed = capsys.readouterr().out
    assert f"{scores['dev']['per']:.2f}" in printed
    for word in ("insertions", "deletions", "substitutions", "perplexity", "PNMI"):
        assert word in printed


def test_tables_say_where_the_errors_are(runs, speech_dump):
    assert score(runs, speech_dump) == 0
    run = runs / "bn_reest_lr_seed1"
    scores = json.loads((run / "scores.json").read_text())["dev"]
    edits = scores["substitutions"] + scores["deletions"] + scores["insertions"]
    for name, columns in (
        ("utterance_errors.tsv", (2, 3, 4)),
        ("speaker_errors.tsv", (2, 3, 4)),
        ("phone_errors.tsv", (3, 4, 5)),
    ):
        rows = [line.split("\t") for line in (run / "decode_dev" / name).read_text().splitlines()[1:]]
        assert sum(int(row[column]) for row in rows for column in columns) == edits


def test_a_beam_search_is_scored_beside_the_best_path(runs, speech_dump, tmp_path):
    run = runs / "bn_reest_lr_seed1"
    assert decode.main(["--expdir", str(run), "--dump", str(speech_dump), "--beam", "8"]) == 0
    # Nothing recognised, so that the two can't be mixed up.
    lines = (run / "decode_dev_beam8/hyp.trn").read_text().splitlines()
    (run / "decode_dev_beam8/hyp.trn").write_text("".join(f"({line.partition('(')[2]}\n" for line in lines))
    assert score(runs, speech_dump) == 0
    best_path = json.loads((run / "scores.json").read_text())["dev"]
    assert score(runs, speech_dump, "--beam", "8", "--results", str(tmp_path / "results")) == 0
    scores = json.loads((run / "scores.json").read_text())
    assert list(scores) == ["dev", "dev_beam8"]
    assert scores["dev"] == best_path
    assert scores["dev_beam8"].keys() == PHONE_SCORES
    assert scores["dev_beam8"]["deletions"] == scores["dev_beam8"]["reference_length"]
    for name, column in (("utterance_errors.tsv", "deletions"), ("phone_errors.tsv", "deleted")):
        header, *rows = [line.split("\t") for line in (run / "decode_dev_beam8" / name).read_text().splitlines()]
        assert sum(int(row[header.index(column)]) for row in rows) == scores["dev_beam8"]["deletions"]
    kept = read_result(tmp_path / "results/bn_reest_lr_seed1.json")
    assert list(kept.scores) == ["dev", "dev_beam8"]
    assert list(kept.usage) == ["dev"]


def test_perplexity_is_what_training_saw(runs, speech_dump):
    """Two independent paths: counts on the model's outputs in training, here from the archive."""
    run = runs / "bn_reest_lr_seed1"
    score(runs, speech_dump)
    scores = json.loads((run / "scores.json").read_text())["dev"]
    update = json.loads((run / "decode_dev/decode.json").read_text())["update"]
    point = next(p for p in map(json.loads, (run / "curve.jsonl").open()) if p["update"] == update)
    assert scores["perplexity"] == pytest.approx(point["perplexity"])
    assert scores["used_codes"] == point["used_codes"]
    assert scores["per"] == pytest.approx(point["dev_per"])


def test_no_bottleneck_has_only_phone_scores(runs, speech_dump):
    assert score(runs, speech_dump, run="none_seed1") == 0
    scores = json.loads((runs / "none_seed1/scores.json").read_text())
    assert scores["dev"].keys() == PHONE_SCORES


def test_a_finished_run_is_kept_and_found_by_its_configuration(runs, speech_dump, tmp_path):
    options = ["--results", str(tmp_path / "results/made"), "--data_label", "made speech", "--command", "run.sh --nj 2"]
    assert score(runs, speech_dump, *options) == 0
    run = runs / "bn_reest_lr_seed1"
    result = read_result(tmp_path / "results/made/bn_reest_lr_seed1.json")
    assert (result.data, result.command, result.seed) == ("made speech", "run.sh --nj 2", 1)
    assert result.scores == json.loads((run / "scores.json").read_text())
    assert [p["update"] for p in result.curve] == [10, 20, 30]
    assert sum(sum(row) for row in result.usage["dev"]) == result.scores["dev"]["codes_seen"]
    pooled = [sum(s[key] for s in result.speakers["dev"].values()) for key in ("edits", "reference_length")]
    assert 100 * pooled[0] / pooled[1] == pytest.approx(result.scores["dev"]["per"])
    assert f"git_commit: {json.dumps(result.commit)}" in (run / "config.yaml").read_text()
    config_hash = configuration_hash(load_run(RECOGNITION, run, "best").config, RECOGNITION.keys)
    assert find_result(tmp_path / "results/made", config_hash).name == "bn_reest_lr_seed1.json"
    assert str(tmp_path) not in (tmp_path / "results/made/bn_reest_lr_seed1.json").read_text()


def drop_first_line(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: shutil.rmtree(run / "decode_dev"), "decode_dev/decode.json: can't be read"),
        (lambda run: drop_first_line(run / "decode_dev/hyp.trn"), "hyp.trn: no hypothesis for 1 utterances"),
        (lambda run: drop_first_line(run / "decode_dev/ref.trn"), "'dev-00' is not both here and in"),
        (lambda run: drop_first_line(run / "decode_dev/codes.scp"), "codes.scp: 'dev-00' is not both here and in ref"),
    ],
)
def test_a_decoding_that_does_not_fit_leaves_no_scores(runs, speech_dump, capsys, spoil, message):
    spoil(runs / "bn_reest_lr_seed1")
    assert score(runs, speech_dump) == 1
    assert message in capsys.readouterr().err
    assert not (runs / "bn_reest_lr_seed1/scores.json").exists()


def test_a_decoding_of_another_dump_is_refused(runs, speech_dump, capsys):
    shutil.rmtree(runs / "bn_reest_lr_seed1/decode_dev")
    shutil.copytree(runs / "bn_reest_lr_seed1/decode_train", runs / "bn_reest_lr_seed1/decode_dev")
    assert score(runs, speech_dump) == 1
    assert "is not both here and in" in capsys.readouterr().err


def test_without_a_run_the_help_says_how_to_name_one(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "--expdir" in capsys.readouterr().err


def test_scores_without_silence_leave_out_what_is_said_to_be_silence(runs, speech_dump, tmp_path, capsys):
    """The made-up speech has the phones AA, IY, S and SIL."""
    dump = tmp_path / "dump"
    shutil.copytree(speech_dump, dump)

    def scores(*options):
        assert score(runs, dump, *options) == 0
        return json.loads((runs / "bn_reest_lr_seed1/scores.json").read_text())["dev"]

    by_name, given, both = scores(), scores("--silence_phones", "SIL"), scores("--silence_phones", "SIL S")
    assert by_name == given
    assert both["per"] == by_name["per"]
    assert (both["per_nosil"], both["perplexity_nosil"]) != (by_name["per_nosil"], by_name["perplexity_nosil"])
    (dump / "silence_phones.txt").write_text("S\r\nSIL\r\n")
    assert scores() == both
    assert score(runs, dump, "--silence_phones", "sil") == 1
    assert "--silence_phones: there is no phone 'sil'" in capsys.readouterr().err
