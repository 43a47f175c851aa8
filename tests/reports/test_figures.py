import numpy as np
import pytest

from vqbn.reports.figures import curve_points, draw_curves, draw_norms, draw_usage
from vqbn.reports.variants import LABELS
from vqbn.runs.results import Result


def run(name, seed, curve, usage=None):
    usage = {} if usage is None else {"dev": usage}
    return Result(name, name, seed, "d", "c", "k", "h", {}, 1, "best", {"dev": {"per": 1.0}}, {}, usage, curve)


def points(*pers, perplexity=None):
    return [
        {"update": 10 * i, "dev_per": per, "perplexity": perplexity and perplexity * i, "codeword_norm": 0.3 * i,
         "encoder_norm": 4.0}
        for i, per in enumerate(pers, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_a_curve_is_the_mean_over_seeds_in_the_variants_colour(name):
    results = [run(name, 1, points(90, 80)), run(name, 2, points(70, 50))]
    figure = draw_curves(results, "dev_per", "PER", "title")
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[10, 80], [20, 65]])
    assert line.get_label() == LABELS[name]
    (band,) = figure.axes[0].collections
    assert band.get_paths()[0].get_extents().bounds == (10, 50, 10, 40)


def test_all_rows_are_told_apart_and_named_in_the_papers_order():
    figure = draw_curves([run(name, 1, points(50, 40)) for name in reversed(LABELS)], "dev_per", "PER", "title")
    lines = figure.axes[0].lines
    assert len({line.get_color() for line in lines}) == len(LABELS)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(LABELS.values())


def test_evaluations_without_a_value_are_gaps():
    curve = [{"update": 1, "perplexity": None}, {"update": 2, "perplexity": 7.0}, {"update": 3}]
    assert curve_points([run("bn", 1, curve), run("bn", 2, curve[1:2])], "perplexity") == {2: [7.0, 7.0]}


def test_usage_is_sorted_and_ends_at_the_last_code_used():
    figure = draw_usage([run("bn", 1, [], [[1, 0, 6, 3]])], "dev", "title")
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 60], [2, 30], [3, 10]])
    assert "K = 4" in figure.axes[0].get_xlabel()


def test_norms_share_their_scale():
    figure = draw_norms([run("bn", 1, points(50, 40, perplexity=3))], "title")
    codewords, encoder = figure.axes
    assert codewords.get_ylim() == encoder.get_ylim()
    np.testing.assert_allclose(codewords.lines[0].get_ydata(), [0.3, 0.6])
    np.testing.assert_allclose(encoder.lines[0].get_ydata(), [4, 4])
