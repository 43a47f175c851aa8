"""A small corpus of Dutch-like lines, drawn stroke by stroke, in the layout of ScribbleLens."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vqbn.corpora.line_image import width_at
from vqbn.files import replacing

ROOT = "scribblelens.corpus.v1"
HEIGHT = 64
# Strokes of each letter, parted by blanks; a stroke is points of two digits, x and y. y: 0 descender, 3 baseline,
# 6 x-height, 9 ascender.
GLYPHS = {
    "a": "4636252413133343446 46444353",
    "b": "19141323334445362515",
    "c": "463625241413233343",
    "d": "4535252413132333434549 49444353",
    "e": "142444453625151423334354",
    "f": "584839282220 163646",
    "g": "463625141323334446 4642413010",
    "h": "191413 142536454353",
    "i": "1614132333 1718",
    "j": "262221100 2728",
    "k": "191413 461534 344353",
    "l": "19141323",
    "m": "061303 0415262313 24354643536",
    "n": "161413 142536454353",
    "o": "36251413233344453626",
    "p": "161210 152636454433231314",
    "q": "463625141323334446 464050",
    "r": "161413 142536465",
    "s": "453626153444332313",
    "t": "281413233343 163646",
    "u": "1614132333444 46444353",
    "v": "16142336 364656",
    "w": "06041323262425344346 4656",
    "x": "164353 461303",
    "y": "16142333444 4642301000",
    "z": "16461343 43532010",
}
WIDTHS = {"i": 3.2, "j": 3.2, "l": 3.0, "m": 6.4, "w": 6.2, "t": 4.4, "f": 5.0, "r": 4.6}
WORDS = (
    "de het een ende van op met in wij sijn wind schip zee zuijd noord west oost kust land mijlen streek gisse "
    "breete lengte graden vaam water diep grond sant ancker zeijl marszeijl koers quart avont morgen nacht dagh "
    "weder goet mooij stijve koelte regen donker lucht sagen hoeck eijland baij rif volck boot schuijt handel "
    "coopman schipper stuurman raet brief maent januarij junij anno heer compagnie batavia jagt fluijt prauw"
)
# How fast, how slanted and how large each scribe writes; the last one is in the test list only.
SCRIBES = {
    "brouwer": {"slant": 0.25, "size": 1.0, "pen": 2.4, "wobble": 0.20, "space": 3.6},
    "tasman": {"slant": 0.05, "size": 1.1, "pen": 3.0, "wobble": 0.28, "space": 3.0},
    "vanneck": {"slant": 0.40, "size": 0.9, "pen": 2.0, "wobble": 0.24, "space": 4.4},
    "zeeuws": {"slant": -0.1, "size": 1.0, "pen": 2.6, "wobble": 0.25, "space": 3.4},
}
LINES_PER_PAGE = 10


def make_mini_handwriting(path: str | Path, lines: int = 240, seed: int = 1) -> dict[str, int]:
    """Write the zip file of a corpus: lists, line images, transcripts and, inside it, alignments.

    The lines are bilevel JPEGs 64 pixels high of 4 to 9 words. A sixth of them, of pages of their own, are in the test
    list; one scribe is in no other.

    Args:
        path: the zip file to write.
        lines: how many in all; rounded up to whole pages of ten, at least one for each scribe and list.
        seed: of words and strokes.

    Returns:
        List → lines.
    """
    pages = max(9, -(-lines // LINES_PER_PAGE))
    scribes = list(SCRIBES)
    test_pages = max(2, pages // 6)
    lists: dict[str, list[str]] = {"train": [], "test": []}
    paths = io.BytesIO()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as corpus, zipfile.ZipFile(paths, "w") as ali:
        for page in range(pages):
            split = "test" if page < test_pages else "train"
            scribe = scribes[page % len(scribes) if split == "test" else page % (len(scribes) - 1)]
            if split == "test" and page == 0:
                scribe = scribes[-1]
            for number in range(LINES_PER_PAGE):
                rng = np.random.default_rng((seed, page, number))
                text = " ".join(rng.choice(WORDS.split(), rng.integers(4, 10)))
                image, labels = draw_line(text, rng, **SCRIBES[scribe])
                stem = f"nl/{scribe}/{page + 1}/line{number + 1}"
                jpeg = io.BytesIO()
                image.save(jpeg, "JPEG", quality=90)
                corpus.writestr(f"{ROOT}/{stem}.jpg", jpeg.getvalue())
                corpus.writestr(f"{ROOT}/{stem}.txt", text + "\n")
                ali.writestr(f"{ROOT}/{stem}.ali", alignment(stem, text, labels, image.size))
                lists[split].append(f"{stem}.jpg {stem}.txt\n")
        for split, rows in lists.items():
            corpus.writestr(f"{ROOT}/corpora/nl.bw.lines.{split}.dat", "".join(rows))
        every = "".join(row.split()[0] + "\n" for rows in lists.values() for row in rows)
        corpus.writestr(f"{ROOT}/corpora/all.nl.bw.lines.unsupervised.dat", every)
        ali.close()
        corpus.writestr(f"{ROOT}/corpora/scribblelens.paths.mini.zip", paths.getvalue())
        corpus.writestr(f"{ROOT}/corpora/about.json", json.dumps({"lines": lines, "seed": seed}))
    return {split: len(rows) for split, rows in lists.items()}


def draw_line(
    text: str, rng: np.random.Generator, slant: float, size: float, pen: float, wobble: float, space: float
) -> tuple[Image.Image, list[str]]:
    """Draw a text.

    Args:
        text: letters a to z and blanks.
        rng: of the hand's unsteadiness.
        slant: columns to the right per row upwards.
        size: of the letters, 1 for the usual.
        pen: its width in pixels.
        wobble: how far a point strays, in parts of a letter's fifth.
        space: width of a blank in the same parts.

    Returns:
        The image, and the character of each of its columns, `*` in the margins.
    """
    scale, oversampling = 5.2 * size, 2
    x, labels = 10.0, ["*"] * 10
    strokes = []
    for character in text:
        if character == " ":
            x += space * scale * rng.uniform(0.8, 1.25)
        else:
            stretch = rng.uniform(0.85, 1.1)
            for stroke in GLYPHS[character].split():
                digits = np.array([int(digit) for digit in stroke[: len(stroke) // 2 * 2]], dtype=float).reshape(-1, 2)
                points = digits + rng.normal(0, wobble, digits.shape)
                height = (points[:, 1] - 4.5) * scale
                strokes.append(np.stack([x + points[:, 0] * scale * stretch + slant * height, 32 - height], axis=1))
            x += WIDTHS.get(character, 5.0) * scale * stretch
        labels += [character] * (round(x) - len(labels))
    width = round(x) + 12
    labels += ["*"] * (width - len(labels))
    canvas = Image.new("L", (width * oversampling, HEIGHT * oversampling), 255)
    pencil = ImageDraw.Draw(canvas)
    drift = rng.uniform(-3, 3, 2)
    for stroke in strokes:
        stroke[:, 1] += np.interp(stroke[:, 0], [0, width], drift)
        curve = [tuple(point) for point in oversampling * smooth(stroke)]
        pencil.line(curve, fill=0, width=round(pen * oversampling * rng.uniform(0.85, 1.15)))
    return canvas.resize((width, HEIGHT), Image.Resampling.BOX).point(lambda value: 255 * (value > 127)), labels


def smooth(points: np.ndarray, steps: int = 4) -> np.ndarray:
    """A Catmull-Rom curve through points, float (n, 2)."""
    if len(points) < 3:
        return points
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, points[-1:]])


def alignment(stem: str, text: str, labels: list[str], size: tuple[int, int]) -> str:
    """The corpus's alignment file of a line: a character for each column at 32 pixels' height."""
    columns = width_at(size)
    rows = []
    for t in range(columns):
        label = labels[min(len(labels) - 1, int((t + 0.5) * size[0] / columns))]
        rows.append(f"{t} {t + 1} {'SPACE' if label == ' ' else label} 1.0\n")
    return f"{stem}.jpg {columns} score 0.0 targetStr:{text.replace(' ', '_')}\n" + "".join(rows)
