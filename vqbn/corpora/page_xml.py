"""Pages of handwriting in ALTO (version 4) or PAGE (2019) XML: where the lines are and what they say.

Both as eScriptorium, Transkribus and HTR-United's corpora write them; older versions where they say the same.
"""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from vqbn.errors import InputError

Points = list[tuple[float, float]]


class TextLine(NamedTuple):
    """A line of a page.

    Attributes:
        id: as the file has it, or its place, "line 3".
        polygon: its outline, (x, y) in the page's units, of three points or more; empty where the file has none.
        baseline: the line that it is written on, of two points or more; empty where the file has none.
        text: "" where it is not transcribed.
    """

    id: str
    polygon: Points
    baseline: Points
    text: str


class Page(NamedTuple):
    """A page.

    Attributes:
        image: the scan's file name, without folders; "" where the file names none.
        size: width and height in the units of the lines' points; 0 where the file doesn't say.
        lines: in the file's order.
    """

    image: str
    size: tuple[float, float]
    lines: list[TextLine]


def read_page(path: str | Path) -> Page | None:
    """Read a page; None if the XML is of another kind, such as the METS file of an export.

    Raises:
        InputError: it can't be read, is damaged, has a document type or not one page, or a point is no pair of numbers.
    """
    try:
        root = parse_xml(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if root.tag not in ("alto", "PcGts"):
        return None
    pages = list(root.iter("Page"))
    if len(pages) != 1:
        raise InputError(f"{path}: {len(pages)} pages, expected one, that of the scan; divide the file")
    try:
        return _alto(root, pages[0]) if root.tag == "alto" else _page(pages[0])
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def parse_xml(content: bytes, where: str) -> Element:
    """Parse XML whose tags and attributes lose their namespaces. It fetches nothing and expands no entities.

    Args:
        content: the whole file.
        where: the file, for messages.

    Raises:
        InputError: it is not well-formed, or has a document type (which is where entities would come from).
    """

    def local(name: str) -> str:
        return name.rpartition("}")[2]

    def refuse(*_: object) -> None:
        raise InputError(f"{where}: has a document type (<!DOCTYPE ...>), which ALTO and PAGE have not; remove it")

    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, values: builder.start(
        local(tag), {local(key): value for key, value in values.items()}
    )
    parser.EndElementHandler = lambda tag: builder.end(local(tag))
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(f"{where}: no well-formed XML, or cut short ({error}); export it again") from error
    return builder.close()


def points(text: str) -> Points:
    """The points of `x,y x,y` or, as ALTO may have it, `x y x y`.

    Raises:
        ValueError: they are no pairs of numbers.
    """
    try:
        numbers = [float(number) for number in re.split(r"[\s,]+", text.strip()) if number]
    except ValueError:
        numbers = [0.0]
    if len(numbers) % 2 or not all(abs(number) < 1e9 for number in numbers):
        raise ValueError(f"found points '{text[:40]}', expected pairs of numbers, 'x,y x,y'")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _number(text: str) -> float:
    try:
        number = float(text or 0)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"found '{text[:40]}', expected a number")
    return number


def _long_enough(outline: Points, least: int) -> Points:
    return outline if len(set(outline)) >= least else []


def _scan(name: str) -> str:
    """A file name without folders, of any system: only the corpus's own folders are looked into."""
    return PureWindowsPath(name.strip()).name


def _lines(elements: Iterator[Element], read: Callable[[Element], tuple[Points, Points, str]]) -> list[TextLine]:
    found = []
    for number, element in enumerate(elements, 1):
        polygon, baseline, text = read(element)
        name = element.get("ID") or element.get("id") or f"line {number}"
        found.append(TextLine(name, _long_enough(polygon, 3), _long_enough(baseline, 2), " ".join(text.split())))
    return found


def _alto(root: Element, page: Element) -> Page:
    name = root.findtext("Description/sourceImageInformation/fileName", "")
    size = (_number(page.get("WIDTH", "")), _number(page.get("HEIGHT", "")))
    return Page(_scan(name), size, _lines(page.iter("TextLine"), _alto_line))


def _alto_line(line: Element) -> tuple[Points, Points, str]:
    left, top, width, height = (_number(line.get(key, "")) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    shape = line.find("Shape/Polygon")
    polygon = points(shape.get("POINTS", "")) if shape is not None else []
    if not polygon and width > 0 and height > 0:
        right, bottom = left + width, top + height
        polygon = [(left, top), (right, top), (right, bottom), (left, bottom)]
    base = line.get("BASELINE", "")
    # Until version 4.1 a baseline was a height alone.
    is_height = re.fullmatch(r"\s*[-+\d.]+\s*", base)
    baseline = points(f"{left},{base} {left + width},{base}") if is_height else points(base)
    words: list[str] = []
    for part in line:
        if part.tag == "String":
            words.append(part.get("CONTENT", ""))
        elif part.tag == "HYP" and words:
            words[-1] += part.get("CONTENT", "")
    return polygon, baseline, " ".join(words)


def _page(page: Element) -> Page:
    size = (_number(page.get("imageWidth", "")), _number(page.get("imageHeight", "")))
    return Page(_scan(page.get("imageFilename", "")), size, _lines(page.iter("TextLine"), _page_line))


def _page_line(line: Element) -> tuple[Points, Points, str]:
    text = _page_text(line)
    if text is None:
        text = " ".join(_page_text(word) or "" for word in line.findall("Word"))
    return _page_points(line.find("Coords")), _page_points(line.find("Baseline")), text


def _page_points(element: Element | None) -> Points:
    """The points of an attribute or, before 2013, of elements."""
    if element is None:
        return []
    inside = [f"{point.get('x')},{point.get('y')}" for point in element.findall("Point")]
    return points(element.get("points") or " ".join(inside))


def _page_text(element: Element) -> str | None:
    """The transcript that comes first by its index; None where there is none."""
    texts = element.findall("TextEquiv")
    if not texts:
        return None
    first = min(texts, key=lambda text: _number(text.get("index", "")))
    return first.findtext("Unicode") or first.findtext("PlainText") or ""
