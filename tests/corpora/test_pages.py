"""Pages with ALTO or PAGE XML become a corpus of lines."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vqbn.bin.prepare_scribblelens import main
from vqbn.corpora.line_image import read_line
from vqbn.corpora.packed_lines import LineDataset
from vqbn.corpora.page_xml import TextLine
from vqbn.corpora.pages import cut_line, cut_pages, outlines
from vqbn.corpora.pages import read_page as read
from vqbn.corpora.scribblelens import SETS, read_lines
from vqbn.errors import InputError

PAPER, INK, WIDTH, HEIGHT = 190, 40, 300, 240
TEXTS = ("eerste regel", "", "derde regel")
ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>pixel</MeasurementUnit>
<sourceImageInformation><fileName>{image}</fileName></sourceImageInformation></Description>
<Layout><Page WIDTH="{width}" HEIGHT="{height}" PHYSICAL_IMG_NR="0"><PrintSpace><TextBlock>{lines}</TextBlock>
</PrintSpace></Page></Layout></alto>"""
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{image}" imageWidth="{width}" imageHeight="{height}"><TextRegion id="r">{lines}</TextRegion></Page>
</PcGts>"""


def polygon(number: int) -> list[tuple[int, int]]:
    """The outline of a slanting line on the page that `draw_page` draws."""
    top = 30 + 70 * number
    return [(20, top), (280, top + 10), (280, top + 50), (20, top + 40)]


def baseline(number: int) -> list[tuple[int, int]]:
    return [(20, 62 + 70 * number), (280, 72 + 70 * number)]


def draw_page(seed: int) -> Image.Image:
    """Three lines of strokes on grey paper, each with a number of strokes of its own, and blots between them."""
    page = Image.new("L", (WIDTH, HEIGHT), PAPER)
    pencil = ImageDraw.Draw(page)
    for number in range(3):
        for x in range(30, 270, 12 + seed + number):
            y = 35 + 70 * number + (x - 20) // 26
            pencil.line([(x, y), (x + 3, y + 28)], fill=INK, width=3)
        pencil.rectangle([250, 30 + 70 * number, 279, 33 + 70 * number], fill=INK)
    return page


def written(points: list[tuple[int, int]], comma: str = ",") -> str:
    return " ".join(f"{x}{comma}{y}" for x, y in points)


def alto_line(number: int, text: str) -> str:
    words = "<SP/>".join(f'<String CONTENT="{word}"/>' for word in text.split())
    base = written(baseline(number), " ")
    return (
        f'<TextLine ID="l{number}" HPOS="0" VPOS="0" WIDTH="300" HEIGHT="240" BASELINE="{base}">'
        f'<Shape><Polygon POINTS="{written(polygon(number), " ")}"/></Shape>{words}</TextLine>'
    )


def page_line(number: int, text: str) -> str:
    return (
        f'<TextLine id="l{number}"><Coords points="{written(polygon(number))}"/>'
        f'<Baseline points="{written(baseline(number))}"/><TextEquiv><Unicode>{text}</Unicode></TextEquiv></TextLine>'
    )


def write_page(xml: Path, scan: Path, seed: int = 0, kind: str = "page", size=(WIDTH, HEIGHT), **changes) -> None:
    """A page with three lines, of which the second has no transcript."""
    for path in (xml, scan):
        path.parent.mkdir(parents=True, exist_ok=True)
    draw_page(seed).save(scan)
    line = page_line if kind == "page" else alto_line
    values = {
        "image": scan.name,
        "width": size[0],
        "height": size[1],
        "lines": "".join(map(line, range(3), TEXTS)),
        **changes,
    }
    xml.write_text((PAGE if kind == "page" else ALTO).format(**values))


@pytest.fixture(params=["page", "alto"])
def folder(request, tmp_path) -> Path:
    """Five pages of two documents: ALTO beside its scans, or as Transkribus exports PAGE."""
    top = tmp_path / "letters"
    for number in range(5):
        document = top / ("Aa 1" if number < 3 else "Bb")
        xml = document / ("page" if request.param == "page" else "") / f"{number:04}.xml"
        write_page(xml, document / f"{number:04}.png", number, request.param)
    (top / "Bb/mets.xml").write_text("<mets xmlns='http://www.loc.gov/METS/'/>")
    return top


def content(corpus: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(corpus) as file:
        return {name: file.read(name) for name in file.namelist()}


def cut(folder: Path, **options) -> dict[str, bytes]:
    cut_pages(folder, folder.parent / "letters.zip", **options)
    return content(folder.parent / "letters.zip")


def test_pages_become_sets_of_lines_through_stages_0_to_2(folder, tmp_path):
    corpus, data, dump = (str(tmp_path / name) for name in ("letters.zip", "data", "dump"))
    assert main(["pages", "--pages", str(folder), "--out", corpus]) == 0
    assert main(["lists", "--corpus", corpus, "--out", data, "--color_mode", "gray"]) == 0
    assert main(["align", "--data", data]) == 0
    assert main(["pack", "--data", data, "--out", dump]) == 0
    sets = {name: read_lines(data, name) for name in SETS}
    lines = [line for each in sets.values() for line in each]
    assert len({line.id for line in lines}) == len(lines) == 15
    assert {line.scribe for line in lines} == {"Aa_1", "Bb"}
    pages = [{line.page for line in each} for each in sets.values()]
    assert sum(map(len, pages)) == len(set.union(*pages)) == 5
    # A page's three lines, top to bottom; one without a transcript is a line all the same.
    assert [line.text for line in sets["test"]] == list(TEXTS)
    dataset = LineDataset(dump, "train")
    ink = [(dataset.pixels(number) < 2).mean() for number in range(len(dataset))]
    assert all(0.03 < share < 0.4 for share in ink)


def test_the_same_pages_give_the_same_corpus_whatever_the_processes_and_what_else_there_is(folder, tmp_path):
    first = cut(folder)
    assert cut(folder, nj=2) == first
    write_page(folder / "Cc/0009.xml", folder / "Cc/0009.png")
    more = cut(folder)
    assert {name: data for name, data in more.items() if "/Cc/" not in name and ".dat" not in name} == {
        name: data for name, data in first.items() if ".dat" not in name
    }


def test_a_line_is_what_its_polygon_encloses_and_the_rest_is_paper():
    page = draw_page(0)
    line = np.asarray(cut_line(page, polygon(1)))
    assert line.shape == (51, 261)
    original = np.asarray(page)[100:151, 20:281]
    outside = np.fromfunction(lambda y, x: (y < x / 26 - 1) | (y > 40 + x / 26 + 1), line.shape)
    inside = np.fromfunction(lambda y, x: (y > x / 26 + 1) & (y < 40 + x / 26 - 1), line.shape)
    assert (line[outside] == PAPER).all()
    assert (original[outside] == INK).any()
    np.testing.assert_array_equal(line[inside], original[inside])
    png = io.BytesIO()
    Image.fromarray(line).save(png, "PNG")
    # Otsu's threshold still parts ink from paper.
    assert (read_line(png.getvalue())[:, -3:] == 3).all()


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_both_kinds_say_the_same(tmp_path, kind):
    write_page(tmp_path / "a.xml", tmp_path / "a.png", kind=kind)
    page = read(tmp_path / "a.xml")
    assert (page.image, page.size) == ("a.png", (WIDTH, HEIGHT))
    assert page.lines == [TextLine(f"l{i}", polygon(i), baseline(i), TEXTS[i]) for i in range(3)]


@pytest.mark.parametrize(
    ("kind", "line", "expected"),
    [
        ("page", '<TextLine><Coords><Point x="1" y="2"/><Point x="9" y="2"/><Point x="5" y="8"/></Coords></TextLine>',
         TextLine("line 1", [(1, 2), (9, 2), (5, 8)], [], "")),
        ("page", '<TextLine id="a"><Coords points=""/><Word><TextEquiv><Unicode>een</Unicode></TextEquiv></Word>'
         "<Word><TextEquiv><Unicode>twee</Unicode></TextEquiv></Word></TextLine>", TextLine("a", [], [], "een twee")),
        ("page", '<TextLine id="a"><TextEquiv index="1"><Unicode>b</Unicode></TextEquiv><TextEquiv index="0">'
         "<Unicode>a</Unicode></TextEquiv></TextLine>", TextLine("a", [], [], "a")),
        ("alto", '<TextLine ID="a" HPOS="1" VPOS="2" WIDTH="10" HEIGHT="5" BASELINE="6"><String CONTENT="lan"/>'
         '<HYP CONTENT="-"/></TextLine>',
         TextLine("a", [(1, 2), (11, 2), (11, 7), (1, 7)], [(1, 6), (11, 6)], "lan-")),
        ("alto", '<TextLine ID="a" BASELINE="1,2 3,4 5,4"/>', TextLine("a", [], [(1, 2), (3, 4), (5, 4)], "")),
    ],
)  # fmt: skip
def test_other_ways_to_write_a_line(tmp_path, kind, line, expected):
    write_page(tmp_path / "a.xml", tmp_path / "a.png", kind=kind, lines=line)
    assert read(tmp_path / "a.xml").lines == [expected]


def test_lines_with_baselines_alone_are_cut_along_them(tmp_path):
    lines = "".join(
        f'<TextLine id="l{i}"><Coords points="{written(baseline(i))}"/><Baseline points="{written(baseline(i))}"/>'
        "</TextLine>"
        for i in range(3)
    )
    write_page(tmp_path / "a.xml", tmp_path / "a.png", lines=lines)
    # Baselines are 70 pixels apart, and the strokes are the 35 above them.
    for number, outline in enumerate(outlines(read(tmp_path / "a.xml"))):
        (left, top), (right, bottom) = np.min(outline, axis=0), np.max(outline, axis=0)
        assert (left, right) == (20, 280)
        assert top == pytest.approx(baseline(number)[0][1] - 52.5)
        assert bottom == pytest.approx(baseline(number)[1][1] + 17.5)


def test_coordinates_of_a_larger_copy_of_the_scan_are_scaled(tmp_path, folder):
    def doubled(number: int) -> str:
        return f'<TextLine><Coords points="{written([(2 * x, 2 * y) for x, y in polygon(number)])}"/></TextLine>'

    expected = cut(folder)
    for xml in folder.rglob("0*.xml"):
        image = next(folder.rglob(f"{xml.stem}.png"))
        lines = "".join(map(doubled, range(3)))
        write_page(xml, image, int(xml.stem), size=(2 * WIDTH, 2 * HEIGHT), lines=lines)
    scaled = cut(folder)
    images = [name for name in expected if name.endswith(".png")]
    assert images
    assert all(scaled[name] == expected[name] for name in images)


def spoil(folder: Path, how: str) -> None:
    document = folder / "Bb"
    xml, image = next(document.rglob("0004.xml")), document / "0004.png"
    text = xml.read_text()
    match how:
        case "no scan":
            image.unlink()
        case "no image":
            image.write_bytes(image.read_bytes()[:200])
        case "cut":
            xml.write_text(text[:-30])
        case "empty":
            xml.write_text("")
        case "points":
            xml.write_text(text.replace("280", "2x0"))
        case "infinite":
            xml.write_text(text.replace(f'"{WIDTH}"', '"inf"'))
        case "two":
            xml.write_text(text.replace("<Page ", "<Page/><Page ", 1))
        case "turned":
            write_page(xml, image, 4, "alto" if "<alto" in text else "page", size=(HEIGHT, WIDTH))
        case "entity":
            secret = folder / "secret.txt"
            secret.write_text("secret")
            doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret}">]>'
            xml.write_text(text.replace("?>", f"?>{doctype}", 1).replace("eerste", "&e;"))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no scan", "its scan '0004.png' is not beside it"),
        ("no image", "damaged, cut short or not an image"),
        ("cut", "no well-formed XML, or cut short"),
        ("empty", "no well-formed XML, or cut short"),
        ("points", "expected pairs of numbers"),
        ("infinite", "found 'inf', expected a number"),
        ("two", "2 pages, expected one"),
        ("turned", "its scan has 300 x 240 pixels, the file says 240 x 300"),
        ("entity", "has a document type"),
    ],
)
def test_a_bad_page_is_named_counted_and_left_out(folder, caplog, how, said):
    spoil(folder, how)
    corpus = cut(folder, max_bad=0.3)
    (warning,) = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()
                  and record.levelname == "WARNING"]  # fmt: skip
    assert "0004.xml" in warning
    assert said in warning
    assert sum(name.endswith(".png") for name in corpus) == 12
    assert not any(b"secret" in data for data in corpus.values())
    with pytest.raises(InputError, match=r"letters: 1 of 5 pages are unusable, more than 5% \(--max_bad\)"):
        cut_pages(folder, folder / "strict.zip")
    assert not (folder / "strict.zip").exists()


@pytest.mark.parametrize(
    ("shift", "said"), [((400, 0), "reaches out of the scan of 300 x 240"), ((0, -60), "reaches out of the scan")]
)
def test_a_polygon_outside_its_scan_is_named_counted_and_left_out(folder, caplog, shift, said):
    xml = next(folder.rglob("0004.xml"))
    before = written(polygon(1), "," if "," in xml.read_text() else " ")
    after = written([(x + shift[0], y + 2 * shift[1]) for x, y in polygon(1)])
    xml.write_text(xml.read_text().replace(before, after))
    corpus = cut(folder, max_bad=0.07)
    assert any("0004.xml: l1: " in record.getMessage() and said in record.getMessage() for record in caplog.records)
    # The others keep their numbers.
    assert [name[-9:] for name in sorted(corpus) if "page-0004" in name and name.endswith("png")] == [
        "line1.png", "line3.png"
    ]  # fmt: skip
    with pytest.raises(InputError, match="1 of 15 lines are unusable"):
        cut(folder, max_bad=0.06)


def test_a_scan_that_two_files_describe_is_cut_once(folder, caplog):
    xml = next(folder.rglob("0004.xml"))
    write_page(folder / "Bb/page/other.xml", folder / "Bb/0004.png", 4, image="C:\\scans\\0004.jpg")
    assert xml.exists()
    assert sum(name.endswith(".png") for name in cut(folder)) == 15
    assert "passed over 1 XML files whose scan another one has too" in caplog.text


def test_folders_that_can_not_be_cut_end_with_one_line(tmp_path, capsys):
    for name, said in (
        ("none", "no such folder"),
        ("empty", "holds no ALTO or PAGE XML"),
        ("two", "2 pages have lines"),
    ):
        if name != "none":
            (tmp_path / name).mkdir()
        if name == "two":
            for number in "12":
                write_page(tmp_path / f"two/{number}.xml", tmp_path / f"two/{number}.png")
        assert main(["pages", "--pages", str(tmp_path / name), "--out", str(tmp_path / "out.zip")]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert f"{tmp_path / name}: {said}" in error
        assert not (tmp_path / "out.zip").exists()


def test_xml_or_a_folder_given_as_the_corpus_is_told_the_way(folder, tmp_path, capsys):
    xml = next(folder.rglob("0004.xml"))
    for given in (xml, folder):
        assert main(["lists", "--corpus", str(given), "--out", str(tmp_path / "data")]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert str(given) in error
        assert "--pages" in error
        assert "fetch" not in error
    (tmp_path / "x.zip").write_text(json.dumps({}))
    assert main(["lists", "--corpus", str(tmp_path / "x.zip"), "--out", str(tmp_path / "data")]) == 1
    assert "not a zip file" in capsys.readouterr().err
