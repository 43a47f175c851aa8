"""From pages of handwriting, scans with ALTO or PAGE XML, to a corpus of lines in the layout of ScribbleLens."""

import io
import logging
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from vqbn.corpora.line_corpus import Line, held_out_pages, list_name, scribe_and_page
from vqbn.corpora.line_image import otsu_threshold
from vqbn.corpora.page_xml import Page, Points, TextLine, read_page
from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.jobs import map_jobs

logger = logging.getLogger(__name__)

ROOT = "pages"
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2")
# Folders that sort files by their kind, not by document.
KINDS = ("images", "image", "img", "imgs", "scans", "jpg", "jpeg", "png", "tif", "tiff", "alto", "page", "xml")
# How far a scan may differ from what its XML says of it, and a polygon reach over the edge, as a share of the size.
TOLERANCE = 0.01
# A line that is flatter, in pixels, is none: some exports repeat the baseline as the polygon.
LEAST_HEIGHT = 4
# Where only baselines are known, a line reaches so much of the distance between them above its own, and so much below.
ABOVE, BELOW = 0.75, 0.25


class Scan(NamedTuple):
    """A page that is to be cut: its XML and scan, and its folder in the corpus."""

    xml: Path
    image: Path
    folder: str


class Cut(NamedTuple):
    """What cutting a page gave: lines' numbers, PNG files and transcripts; what is wrong with lines; with the page."""

    lines: list[tuple[int, bytes, str]]
    reasons: dict[str, str]
    problem: str


def cut_pages(
    folder: str | Path, out: str | Path, test_share: float = 0.1, nj: int = 1, max_bad: float = 0.05
) -> dict[str, int]:
    """Cut the lines of all pages below a folder and write them as a zip file in the layout of ScribbleLens.

    A line is what its polygon encloses; the rest of the polygon's bounding box becomes paper. Lines without a polygon
    are cut along their baselines. Whole pages, by a hash of their names, make the test list.

    Args:
        folder: ALTO or PAGE XML files with their scans, beside them or in a folder beside or above theirs; a page has
            the file name of its scan, and a document is a folder.
        out: the zip file to write.
        test_share: the share of the lines that goes to the test list, at least.
        nj: processes.
        max_bad: the share of pages, and of lines, that may be unusable, 0 to 1.

    Returns:
        Counts of pages, lines, lines with a transcript, and lines of the test list.

    Raises:
        InputError: there are no pages, fewer than three have lines, or too many pages or lines are unusable.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one with ALTO or PAGE XML files and their scans")
    bad_pages, bad_lines = Defects("pages", max_bad), Defects("lines", max_bad)
    files, scans = find_scans(folder, bad_pages)
    if not files:
        raise InputError(f"{folder}: holds no ALTO or PAGE XML file; expected such files with their scans")
    every: list[Line] = []
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as corpus:
        for scan, cut in zip(scans, map_jobs(_cut, scans, nj, "cutting pages"), strict=True):
            if cut.problem:
                bad_pages.add(str(scan.xml.relative_to(folder)), cut.problem)
            for name, reason in cut.reasons.items():
                bad_lines.add(f"{scan.xml.relative_to(folder)}: {name}", reason)
            for number, png, text in cut.lines:
                stem = f"{scan.folder}/line{number}"
                every.append(Line(stem, f"{stem}.png", *scribe_and_page(f"{stem}.png"), text))
                corpus.writestr(f"{ROOT}/{stem}.png", png)
                if text:
                    corpus.writestr(f"{ROOT}/{stem}.txt", text + "\n")
        bad_pages.check(files, str(folder))
        bad_lines.check(len(every) + len(bad_lines.reasons), str(folder))
        pages = {line.page for line in every}
        if len(pages) < 3:
            raise InputError(f"{folder}: {len(pages)} pages have lines; expected three, for train, dev and test")
        test = held_out_pages(every, test_share)
        for split in ("train", "test"):
            rows = [_row(line) for line in every if (line.page in test) == (split == "test")]
            corpus.writestr(f"{ROOT}/{list_name(split, 'gray')}", "".join(rows))
        corpus.writestr(f"{ROOT}/{list_name('unsupervised', 'gray')}", "".join(f"{line.image}\n" for line in every))
    counts = {
        "pages": len(pages),
        "lines": len(every),
        "transcribed": sum(line.text != "" for line in every),
        "test": sum(line.page in test for line in every),
    }
    logger.info("%s: %s", out, ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    return counts


def _row(line: Line) -> str:
    return f"{line.image} {line.id}.txt\n" if line.text else f"{line.image}\n"


def find_scans(folder: Path, defects: Defects) -> tuple[int, list[Scan]]:
    """How many pages a folder has, and those of them that can be cut; XML files of other kinds are passed over.

    Where two files are of the same scan, as ALTO and PAGE of an export are, the first by its path is taken.
    """
    images: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            images[path.stem.lower()].append(path)
    files, others, twice = 0, 0, 0
    taken: dict[str, Path] = {}
    scans: dict[str, Scan] = {}
    for xml in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".xml" and path.name[0] != "."):
        try:
            page = read_page(xml)
            if page is None:
                others += 1
                continue
            image = find_image(xml, page.image, images)
        except InputError as error:
            files += 1
            defects.add(str(xml.relative_to(folder)), str(error).removeprefix(f"{xml}: "))
            continue
        place = page_folder(folder, image)
        other = taken.setdefault(place, image)
        if other != image:
            files += 1
            defects.add(str(xml.relative_to(folder)), f"its page would be {place}, as that of {other}; rename the scan")
        elif place in scans:
            twice += 1
        else:
            files += 1
            scans[place] = Scan(xml, image, place)
    if others:
        logger.info("%s: passed over %d XML files that are neither ALTO nor PAGE", folder, others)
    if twice:
        logger.warning("%s: passed over %d XML files whose scan another one has too", folder, twice)
    return files, list(scans.values())


def find_image(xml: Path, name: str, images: dict[str, list[Path]]) -> Path:
    """The scan that an XML file names, else the one called as itself: in its folder, the one above, or one of images.

    Args:
        xml: the file.
        name: what it calls its scan; the suffix may be another.
        images: stem in lower case → image files.

    Raises:
        InputError: it is not there.
    """
    near = [xml.parent, xml.parent.parent]
    for stem in (Path(name).stem, xml.stem):
        found = [
            path
            for path in images.get(stem.lower(), ())
            if path.parent in near or (path.parent.parent in near and path.parent.name.lower() in KINDS)
        ]
        if found:
            # Of several the one that is called just so, else the nearest.
            return min(found, key=lambda path: (path.name != name, path.parent != xml.parent))
    raise InputError(f"{xml}: its scan '{name}' is not beside it, in the folder above, or in images/; put it there")


def page_folder(folder: Path, image: Path) -> str:
    """The folder of a page's lines in the corpus: `<document>/page-<scan>`, without blanks and full stops."""
    parts = [part for part in image.parent.relative_to(folder).parts if part.lower() not in KINDS]
    document = "_".join(parts) or folder.absolute().name or "document"
    return "/".join((_plain(document), f"page-{_plain(image.stem)}"))


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]", "_", name)


def _cut(scan: Scan) -> Cut:
    """Cut one page; in a process of its own."""
    lines, reasons = [], {}
    try:
        page = read_page(scan.xml)
        grey = read_scan(scan.image)
        scale = scale_of(page, grey.size)
        for number, (line, outline) in enumerate(zip(page.lines, outlines(page), strict=True), 1):
            try:
                cut = cut_line(grey, [(x * scale[0], y * scale[1]) for x, y in outline])
            except InputError as error:
                reasons[line.id] = str(error)
                continue
            png = io.BytesIO()
            cut.save(png, "PNG")
            lines.append((number, png.getvalue(), line.text))
    except InputError as error:
        return Cut([], {}, str(error))
    return Cut(lines, reasons, "")


def read_scan(path: Path) -> Image.Image:
    """A scan in grey.

    Raises:
        InputError: it is damaged or no image.
    """
    try:
        with Image.open(path) as image:
            return image.convert("L")
    except Exception as error:  # what Pillow raises for damaged data is not specified
        raise InputError(f"{path}: damaged, cut short or not an image ({str(error)[:80]})") from error


def scale_of(page: Page, size: tuple[int, int]) -> tuple[float, float]:
    """Pixels of the scan for one unit of the page, in x and y; not 1 if the scan is a smaller copy or the units differ.

    Raises:
        InputError: the scan has not the page's proportions.
    """
    if min(page.size) <= 0:
        return 1.0, 1.0
    x, y = (pixels / units for pixels, units in zip(size, page.size, strict=True))
    if abs(x / y - 1) > TOLERANCE:
        found, expected = (" x ".join(f"{number:g}" for number in each) for each in (size, page.size))
        raise InputError(f"its scan has {found} pixels, the file says {expected}: another, or a turned, scan")
    return x, y


def outlines(page: Page) -> list[Points]:
    """A polygon for each line of a page; from its baseline, and how far baselines are apart, where the file has none.

    Empty where nothing is known of a line, or it is the only one and has no polygon.
    """
    distances = list(_distances([line.baseline for line in page.lines if line.baseline]))
    height = median(distances) if distances else 0
    return [line.polygon if _thickness(line.polygon) >= LEAST_HEIGHT else _strip(line, height) for line in page.lines]


def _thickness(polygon: Points) -> float:
    """A polygon's area by its width (or height, of a vertical line)."""
    if not polygon:
        return 0.0
    x, y = np.array(polygon).T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 / max(np.ptp(x), np.ptp(y)))


def _distances(baselines: Sequence[Points]) -> Iterator[float]:
    """From each baseline to the next one below it in the same column."""
    spans = [(min(x for x, _ in line), max(x for x, _ in line), float(np.mean(line, axis=0)[1])) for line in baselines]
    for left, right, y in spans:
        below = [other - y for start, end, other in spans if other > y and start < right and end > left]
        if below:
            yield min(below)


def _strip(line: TextLine, height: float) -> Points:
    if not height:
        return []
    above = [(x, y - ABOVE * height) for x, y in line.baseline]
    return above + [(x, y + BELOW * height) for x, y in reversed(line.baseline)]


def cut_line(grey: Image.Image, polygon: Points) -> Image.Image:
    """The bounding box of a polygon, with paper outside the polygon.

    Paper has the middle tone of what Otsu's threshold calls light inside, since white would be a third tone, beside
    which ink and paper look alike.

    Args:
        grey: the page.
        polygon: (x, y) in its pixels.

    Raises:
        InputError: there is no polygon, it encloses hardly a pixel, or it reaches out of the page.
    """
    if not polygon:
        raise InputError("has no polygon, or one of no height, and nothing to tell its height by from other baselines")
    (left, top), (right, bottom) = np.min(polygon, axis=0), np.max(polygon, axis=0)
    slack_x, slack_y = 1 + TOLERANCE * grey.width, 1 + TOLERANCE * grey.height
    if left < -slack_x or top < -slack_y or right > grey.width + slack_x or bottom > grey.height + slack_y:
        raise InputError(
            f"its polygon, from {left:g},{top:g} to {right:g},{bottom:g}, reaches out of the scan of "
            f"{grey.width} x {grey.height} pixels"
        )
    x, y = max(0, int(left)), max(0, int(top))
    box = (x, y, min(grey.width, int(right) + 1), min(grey.height, int(bottom) + 1))
    if box[2] <= x or box[3] - y < LEAST_HEIGHT:
        raise InputError(f"its polygon encloses {max(0, box[2] - x)} x {max(0, box[3] - y)} pixels, which is no line")
    inside = Image.new("1", (box[2] - x, box[3] - y))
    ImageDraw.Draw(inside).polygon([(px - x, py - y) for px, py in polygon], fill=1, outline=1)
    pixels, mask = np.asarray(grey.crop(box)), np.asarray(inside)
    enclosed = pixels[mask]
    light = enclosed[enclosed > otsu_threshold(enclosed)]
    paper = np.median(light if len(light) else enclosed)
    return Image.fromarray(np.where(mask, pixels, np.uint8(paper)))
