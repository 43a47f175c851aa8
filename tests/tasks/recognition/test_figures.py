import numpy as np
from matplotlib.image import imread

from vqbn.reports.figures import draw_curves, draw_usage
from vqbn.reports.variants import LABELS
from vqbn.runs.results import Result
from vqbn.tasks.recognition.figures import draw_figures, draw_rates


def run(name, seed, curve, usage=None):
    usage = {} if usage is None else {"dev": usage}
    return Result(name, name, seed, "d", "c", "k", "h", {}, 1, "best", {"dev": {"per": 1.0}}, {}, usage, curve)


def points(*pers, perplexity=None):
    return [
        {"update": 10 * i, "dev_per": per, "perplexity": perplexity and perplexity * i, "codeword_norm": 0.3 * i,
         "encoder_norm": 4.0}
        for i, per in enumerate(pers, 1)
    ]  # fmt: skip


def test_every_figure_is_drawn_with_something_on_it(tmp_path):
    results = [
        run("bn", 1, points(90, 80, perplexity=5), [[5, 3, 0, 1]]),
        run("bn", 2, points(92, 82, perplexity=6), [[5, 3, 1, 1]]),
        run("none", 1, points(70, 60)),
    ]
    files = draw_figures(results, tmp_path / "figures", "made speech")
    assert list(files) == ["per", "perplexity", "usage", "norms"]
    for path in files.values():
        image = imread(path)
        assert image.shape[0] > 500
        assert image.shape[1] > 900
        # Coloured pixels: lines, not just axes and text.
        assert (np.ptp(image[..., :3], axis=-1) > 0.2).sum() > 500
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == sorted(p.name for p in files.values())


def test_a_run_without_codes_or_curve_draws_only_what_it_has(tmp_path):
    assert list(draw_figures([run("none", 1, [{"update": 1, "dev_per": 50.0}])], tmp_path, "made")) == ["per"]
    assert draw_figures([run("none", 1, [])], tmp_path, "made") == {}
    # A codebook that was never used has no histogram to draw.
    assert draw_usage([run("bn", 1, [], [[0, 0]])], "dev", "t") is None


def test_changed_runs_are_drawn_only_where_there_is_no_row_of_the_paper(tmp_path):
    other = run("bn-K512", 1, points(50, 40))
    assert "per" in draw_figures([other], tmp_path, "made")
    figure = draw_curves([other], "dev_per", "PER", "title")
    assert figure.axes[0].lines[0].get_label() == "bn-K512"


def sized(name, size, seed, per, pnmi, rate):
    scores = {"dev": {"per": per, "pnmi": pnmi, "bits_per_second": rate}}
    return Result(name, name, seed, "d", "c", "k", "h", {"vq_codebook_size": size}, 1, "best", scores)


def test_rates_are_a_line_through_the_sizes_of_each_variant():
    runs = [
        sized("bn_reest_lr", 2048, 1, 50.0, 0.5, 300.0),
        sized("bn_reest_lr", 2048, 2, 52.0, 0.7, 320.0),
        sized("bn_reest_lr-K512", 512, 1, 55.0, 0.4, 200.0),
        sized("simvq", 2048, 1, 54.0, 0.5, 250.0),
        *(sized(f"simvq-K{size}", size, 1, 54.0, 0.5, 250.0 - size / 100) for size in (256, 512)),
        # Something else was changed too: it is no point on the line.
        sized("bn_reest_lr-K512-w2", 512, 1, 99.0, 0.1, 1.0),
        run("none", 1, []),
    ]
    figure = draw_rates(runs, "dev", "title")
    per, pnmi = figure.axes
    ours, simvq, none = per.lines
    np.testing.assert_allclose(ours.get_xydata(), [[200, 55], [310, 51]])
    np.testing.assert_allclose(simvq.get_xydata(), [[244.88, 54], [247.44, 54], [250, 54]])
    np.testing.assert_allclose(none.get_ydata(), [1, 1])
    np.testing.assert_allclose(pnmi.lines[0].get_xydata(), [[200, 40], [310, 60]])
    assert [text.get_text() for text in per.texts] == ["512", "2,048", "512", "2,048"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        LABELS["bn_reest_lr"],
        LABELS["none"],
        "SimVQ",
    ]


def test_one_size_of_our_own_rows_is_no_line():
    assert draw_rates([sized("bn", 2048, 1, 50.0, 0.5, 300.0)], "dev", "title") is None
    assert draw_rates([sized("fsq", 2048, 1, 50.0, 0.5, 300.0)], "dev", "title") is not None
