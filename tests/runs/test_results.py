import dataclasses
import json

import pytest

from vqbn.errors import InputError
from vqbn.runs.results import Result, find_result, read_result, read_results, write_result


def result(**changes):
    values = {
        "name": "bn-K64",
        "variant": "bn",
        "seed": 2,
        "data": "made speech",
        "command": "vqbn-train --config conf/train_bn.yaml",
        "commit": "0123abc",
        "config_hash": "feedbeef0123",
        "config": {"vq_codebook_size": 64, "lr_milestones": [1, 2]},
        "update": 30,
        "checkpoint": "best",
        "scores": {"dev": {"per": 50.5, "used_codes": 3}},
        "speakers": {
            "dev": {"s1": {"edits": 5, "reference_length": 10, "edits_nosil": 4, "reference_length_nosil": 8}}
        },
        "usage": {"dev": [[1, 0, 2]]},
        "curve": [{"update": 10, "dev_per": 90.0, "perplexity": None}, {"update": 20, "dev_per": 80.0}],
    }
    return Result(**{**values, **changes})


def spoil(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_was_written_is_read_and_the_name_says_which_run(tmp_path):
    path = write_result(tmp_path / "new", result())
    assert path == tmp_path / "new/bn-K64_seed2.json"
    assert read_result(path) == result()
    assert path.read_text().count("\n") < 40  # a tracked file whose differences can be read


def test_results_are_sorted_and_found_by_their_hash(tmp_path):
    for name, seed in (("none", 1), ("bn", 10), ("bn", 2)):
        write_result(tmp_path, result(name=name, seed=seed, config_hash=f"{name}{seed}"))
    assert [(r.name, r.seed) for r in read_results(tmp_path)] == [("bn", 2), ("bn", 10), ("none", 1)]
    assert find_result(tmp_path, "bn10") == tmp_path / "bn_seed10.json"
    assert find_result(tmp_path, "other") is None
    assert find_result(tmp_path / "absent", "bn10") is None


def test_a_file_of_another_configuration_is_not_replaced(tmp_path):
    path = write_result(tmp_path, result())
    config = {"vq_codebook_size": 128, "lr_milestones": [1, 2], "vq_balance": 0}
    with pytest.raises(InputError) as caught:
        write_result(tmp_path, result(config=config, config_hash="0123feedbeef"))
    assert str(caught.value).startswith(
        f"{path}: holds a run with another configuration: vq_codebook_size: 64 (here 128), vq_balance: None (here 0); "
    )
    assert "--tag" in str(caught.value)
    assert read_result(path) == result()


def test_writing_again_replaces_and_a_refused_write_leaves_the_old_file(tmp_path):
    path = write_result(tmp_path, result(update=30))
    write_result(tmp_path, result(update=40))
    assert read_result(path).update == 40
    with pytest.raises(InputError, match=r"scores\.dev\.per"):
        write_result(tmp_path, result(scores={"dev": {"per": float("nan")}}))
    assert read_result(path).update == 40
    assert [p.name for p in tmp_path.iterdir()] == ["bn-K64_seed2.json"]


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("scores.dev.per", lambda c: c["scores"]["dev"].update(per="51")),
        ("scores.dev.Word errors", lambda c: c["scores"]["dev"].update({"Word errors": 51})),
        ("scores.dev", lambda c: c["scores"].update(dev=[])),
        ("scores", lambda c: c["scores"].clear()),
        ("speakers.dev.s1", lambda c: c["speakers"]["dev"]["s1"].pop("edits")),
        ("speakers.dev.s1.edits", lambda c: c["speakers"]["dev"]["s1"].update(edits=-1)),
        ("usage.dev.0", lambda c: c["usage"].update(dev=[[1.5]])),
        ("usage.dev.1", lambda c: c["usage"].update(dev=[[1], [1, 2]])),
        ("curve.1", lambda c: c["curve"].append({"dev_per": 3}) or c["curve"].pop(1)),
        ("curve.0.dev_per", lambda c: c["curve"][0].update(dev_per="low")),
        ("seed", lambda c: c.update(seed=True)),
        ("commit", lambda c: c.update(commit="")),
        ("command", lambda c: c.pop("command")),
        ("extra", lambda c: c.update(extra=1)),
        ("config", lambda c: c.update(config=None)),
    ],
)
def test_a_broken_schema_names_the_file_and_the_key(tmp_path, key, change):
    path = write_result(tmp_path, result())
    spoil(path, change)
    with pytest.raises(InputError, match=f"bn-K64_seed2.json: key '{key}': found") as error:
        read_result(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"per": 3}', '{"format": NaN}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json: not a results file"):
        read_results(tmp_path)


def test_a_copy_under_another_name_would_count_twice_and_is_refused(tmp_path):
    path = write_result(tmp_path, result())
    (tmp_path / "copy.json").write_text(path.read_text())
    with pytest.raises(InputError, match=r"copy\.json: holds the run 'bn-K64_seed2'"):
        read_results(tmp_path)


def test_every_field_is_in_the_file(tmp_path):
    content = json.loads(write_result(tmp_path, result()).read_text())
    assert {f.name for f in dataclasses.fields(Result)} | {"format"} == content.keys()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="absent"):
        read_results(tmp_path / "absent")
