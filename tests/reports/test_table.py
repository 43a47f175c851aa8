import pytest

from vqbn.reports.table import Spread, markdown_table, shown, spread
from vqbn.runs.results import Result


def run(name, seed, **scores):
    return Result(name, name, seed, "d", "c", "k", "h", {}, 1, "best", {"dev": scores} if scores else {})


def test_spread_is_the_sample_deviation_over_the_runs_that_have_the_score():
    runs = [run("bn", 1, per=50.0), run("bn", 2, per=54.0), run("bn", 3), run("bn", 4, pnmi=0.5)]
    assert spread(runs, "dev", "per") == pytest.approx((52, 8**0.5, 2))
    assert spread(runs, "dev", "perplexity") is None
    assert spread(runs, "test", "per") is None


def test_values_are_shown_with_their_spread_only_where_there_is_one():
    assert shown(Spread(54.06, 0.349, 3)) == "54.1 ± 0.3"
    assert shown(Spread(54.06, float("nan"), 1)) == "54.1"
    assert shown(Spread(0.4321, 0.01, 2), scale=100) == "43.2 ± 1.0"
    assert shown(Spread(1884, 10, 2), digits=0) == "1,884 ± 10"
    assert shown(None) == "–"


def test_markdown_cells_cannot_break_the_table():
    assert markdown_table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| :-- | --: |\n| x\\|y | 1 |\n"
