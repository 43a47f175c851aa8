import json

import pytest

from vqbn.errors import InputError
from vqbn.metrics.evaluation import Evaluation
from vqbn.metrics.per import Errors
from vqbn.runs.scored import collect_run, read_curve, write_scores
from vqbn.tasks.recognition.decoding import Decoded, write_decoded

SPEAKER = {"edits": 1, "reference_length": 4, "edits_nosil": 1, "reference_length_nosil": 3}


def evaluation(per, usage=None):
    return Evaluation({"per": per}, {"u": Errors(1, 0, 0, 4)}, {"s": SPEAKER}, usage)


@pytest.fixture
def run(tmp_path):
    """A run whose sets dev and test are decoded with update 50."""
    folder = tmp_path / "bn-K4_seed3"
    for name in ("dev", "test"):
        decode(folder, name, 50)
    (folder / "curve.jsonl").write_text('{"update": 25, "dev_per": 90.0}\n{"update": 50, "dev_per": 80.0}\n')
    return folder


def decode(folder, name, update):
    about = {"set": name, "checkpoint": "best", "update": update, "subsampling": 3, "frame_shift": 0.01}
    write_decoded(folder / f"decode_{name}", Decoded({"u": []}, {"u": ["A"]}, {}, {**about, "averaged": True}))


def collect(folder, seed=3, **options):
    return collect_run(folder, "made speech", {"seed": seed}, "hash", "commit", **options)


def test_scores_of_other_sets_are_kept_and_details_lie_with_the_decoding(run):
    write_scores(run, {"dev": evaluation(25.0, [[1, 2]])}, "train it")
    write_scores(run, {"test": evaluation(30.0)})
    write_scores(run, {"dev": evaluation(26.0)})
    assert json.loads((run / "scores.json").read_text()) == {"dev": {"per": 26.0}, "test": {"per": 30.0}}
    assert json.loads((run / "decode_test/details.json").read_text())["utterances"] == {"u": [1, 0, 0, 4]}


def test_a_run_is_collected_under_its_folders_name(run):
    write_scores(run, {"dev": evaluation(25.0, [[1, 2]]), "test": evaluation(30.0)}, "train it")
    result = collect(run)
    assert (result.name, result.variant, result.seed, result.update) == ("bn-K4", "bn", 3, 50)
    assert (result.command, result.data, result.checkpoint) == ("train it", "made speech", "best")
    assert result.scores == {"dev": {"per": 25.0}, "test": {"per": 30.0}}
    assert result.speakers["dev"] == {"s": SPEAKER}
    assert result.usage == {"dev": [[1, 2]]}
    assert [point["dev_per"] for point in result.curve] == [90.0, 80.0]
    assert collect(run, command="other").command == "other"


def test_without_a_known_command_the_one_that_repeats_the_run_is_given(run):
    write_scores(run, {"dev": evaluation(25.0)})
    assert collect(run).command == f"vqbn-train --config {run / 'config.yaml'}"


def test_a_set_decoded_at_another_update_is_left_out(run, caplog):
    decode(run, "test", 40)
    write_scores(run, {"dev": evaluation(25.0), "test": evaluation(30.0)})
    assert collect(run).scores.keys() == {"dev"}
    assert "decode_test: left out: decoded with update 40" in caplog.text


def test_names_and_seeds_that_disagree_are_refused(run, tmp_path):
    write_scores(run, {"dev": evaluation(25.0)})
    with pytest.raises(InputError, match=r"its name says seed 3, its config\.yaml seed 4"):
        collect(run, seed=4)
    run.rename(tmp_path / "bn")
    with pytest.raises(InputError, match="expected <name>_seed<N>"):
        collect(tmp_path / "bn")


def test_missing_and_foreign_files_are_named(run):
    with pytest.raises(InputError, match=r"scores\.json: can't be read.*stage 5"):
        collect(run)
    (run / "scores.json").write_text("{}")
    with pytest.raises(InputError, match="holds no set"):
        collect(run)
    (run / "scores.json").write_text('{"dev": {"per": "low"}}')
    with pytest.raises(InputError, match=r"details\.json: can't be read"):
        collect(run)
    write_scores(run, {"dev": evaluation(25.0)})
    (run / "scores.json").write_text('{"dev": {"per": "low"}}')
    with pytest.raises(InputError, match=r"key 'scores\.dev\.per': found 'low'"):
        collect(run)


@pytest.mark.parametrize("line", ["{", "[]", '{"dev_per": 3}', '{"update": "3"}'])
def test_a_broken_curve_names_its_line(run, line):
    (run / "curve.jsonl").write_text('{"update": 1}\n' + line + "\n")
    with pytest.raises(InputError, match=r"curve\.jsonl:2: "):
        read_curve(run / "curve.jsonl")
    assert read_curve(run / "absent.jsonl") == []
