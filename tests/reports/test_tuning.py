import pytest

from vqbn.bin.tune import main
from vqbn.reports.tuning import chosen_keys, trials, tuning_table
from vqbn.runs.results import Result, write_result
from vqbn.tasks.recognition.scores import TUNED


def run(name, per, loss=2.0, seed=1, **config):
    config = {"learning_rate": 1e-3, "vq_codebook_init": "xavier", "seed": seed} | config
    curve = [{"update": 10, "dev_loss": 9.0}, {"update": 20, "dev_loss": loss}]
    scores = {"dev_tune": {"per": per}}
    return Result(
        name, name.partition("-")[0], seed, "d", "c", "k", "h", config, 1, "best", scores, {}, {}, curve, "recognition"
    )


RUNS = [
    run("bn-default", 60.0, seed=1),
    run("bn-default", 62.0, seed=2),
    run("bn-lr2e-3", 59.0, learning_rate=2e-3),
    run("bn-init0.5", 61.5, vq_codebook_init=0.5),
    run("vanilla-default", 100.0, loss=3.5),
    run("vanilla-lr2e-3", 100.0, loss=3.1, learning_rate=2e-3),
    run("none-default", 50.0),
]


def test_settings_are_sorted_by_error_and_means_are_over_seeds():
    tried = trials(RUNS, "dev_tune", TUNED)["bn"]
    assert [(t.setting, t.score, t.seeds) for t in tried] == [
        ("lr2e-3", 59.0, (1,)),
        ("default", 61.0, (1, 2)),
        ("init0.5", 61.5, (1,)),
    ]


def test_where_nothing_is_recognised_the_loss_decides():
    assert [t.setting for t in trials(RUNS, "dev_tune", TUNED)["vanilla"]] == ["lr2e-3", "default"]


def test_what_to_change_is_what_differs_from_the_default_in_more_than_the_seed():
    assert chosen_keys(RUNS, "dev_tune", TUNED) == {
        "bn": {"learning_rate": 2e-3},
        "vanilla": {"learning_rate": 2e-3},
        "none": {},
    }


def test_the_table_has_every_setting_and_marks_the_best():
    rows = tuning_table(RUNS, "dev_tune", TUNED).splitlines()[2:]
    assert len(rows) == 6
    assert [row for row in rows if "**" in row] == [rows[0], rows[2], rows[5]]
    assert "| `vanilla` | **lr2e-3** | learning_rate 0.002 | 1 | 100.0 | 3.100 |" in rows[0]


def test_the_command_prints_what_was_tried_and_what_to_change(tmp_path, capsys):
    for each in RUNS:
        write_result(tmp_path, each)
    assert main(["--results", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert tuning_table(RUNS, "dev_tune", TUNED) in printed
    assert "\nbn: learning_rate: 0.002\n" in printed
    assert "\nnone: nothing to change\n" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--results", "absent"], "absent: no such folder"), (["--results", ".", "--set", "test"], "no results of test")],
)
def test_nothing_to_choose_from_is_said_in_one_line(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    write_result(tmp_path, RUNS[0])
    assert main(options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
