"""Lines as grey levels."""

import io

import numpy as np
import pytest
from PIL import Image

from vqbn.corpora.line_corpus import Line as CorpusLine
from vqbn.corpora.line_corpus import held_out_pages, normalise_transcript, scribe_and_page
from vqbn.corpora.line_image import otsu_threshold, read_line
from vqbn.errors import InputError


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_otsu_parts_two_tones_wherever_they_are():
    rng = np.random.default_rng(0)
    for dark, light in ((20, 90), (60, 200), (150, 230)):
        pixels = np.concatenate([rng.normal(dark, 8, 300), rng.normal(light, 8, 3000)]).clip(0, 255).astype(np.uint8)
        assert dark + 15 < otsu_threshold(pixels) < light - 15


def test_otsu_minimises_the_variance_within_classes():
    pixels = np.random.default_rng(1).integers(0, 256, 500).astype(np.uint8)

    def within(threshold: int) -> float:
        parts = (pixels[pixels <= threshold], pixels[pixels > threshold])
        return sum(part.size * part.var() for part in parts if part.size)

    best = min(range(255), key=within)
    assert within(otsu_threshold(pixels)) == pytest.approx(within(best), rel=1e-9)


def test_a_grey_scan_becomes_ink_on_white_unless_told_otherwise():
    pixels = np.full((64, 100), 190)
    pixels[20:40, 30:50] = 90
    binarised, grey = (read_line(png(pixels), binarize=how) for how in ("otsu", "none"))
    assert binarised.shape == grey.shape == (50, 32)
    assert binarised[20, 15] == 0
    assert binarised[2, 2] == 3
    assert (grey[20, 15], grey[2, 2]) == (1, 2)


def test_a_bilevel_scan_keeps_the_greys_of_resampling():
    pixels = np.full((64, 100), 255)
    pixels[21:40, 31:50] = 0
    np.testing.assert_array_equal(read_line(png(pixels), binarize="otsu"), read_line(png(pixels), binarize="none"))
    assert set(np.unique(read_line(png(pixels)))) > {0, 3}


@pytest.mark.parametrize("levels", [2, 4, 16, 256])
def test_levels_are_the_floor_of_scaled_grey(levels):
    pixels = np.tile(np.arange(256), (32, 1))
    expected = np.minimum(np.floor(levels * np.arange(256) / 255), levels - 1)
    np.testing.assert_array_equal(read_line(png(pixels), levels, "none")[:, 7], expected)


@pytest.mark.parametrize("data", [b"", b"not an image", png(np.zeros((64, 64)))[:-40]])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(InputError, match="damaged"):
        read_line(data)


@pytest.mark.parametrize(
    ("path", "scribe", "page"),
    [
        ("nl/tasman/63/line4.jpg", "tasman", "tasman/63"),
        ("nl/zeeuws/3.left/line.2.4.jpg", "zeeuws", "zeeuws/3"),
        ("nl/brouwer.chili/line7.jpg", "brouwer.chili", "brouwer.chili"),
        ("nl/unsupervised/vanneck/12/line0.jpg", "vanneck", "vanneck/12"),
        ("letters/page-f12r_1/line3.png", "letters", "letters/page-f12r_1"),
        ("letters/page-f12.left/line3.png", "letters", "letters/page-f12"),
    ],
)
def test_scribe_and_page(path, scribe, page):
    assert scribe_and_page(path) == (scribe, page)


def test_transcripts_lose_stops_and_apostrophes_only():
    assert normalise_transcript(" 's avonts,  N.O. wint \n") == "s avonts, NO wint"


def test_a_page_is_held_out_or_not_whatever_other_lines_there_are():
    lines = [CorpusLine(f"{page}/{n}", "", "s", f"s/{page}", "") for page in range(40) for n in range(10)]
    held = held_out_pages(lines, 0.1)
    assert len(held) == 4
    assert held_out_pages(lines[::-1], 0.1) == held
