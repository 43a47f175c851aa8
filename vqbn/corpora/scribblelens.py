"""ScribbleLens (OpenSLR 84), or a corpus in its layout: line lists, alignments, packed lines."""

import io
import json
import logging
import zipfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from vqbn.corpora.alphabet import Alphabet
from vqbn.corpora.column_alignment import parse_alignment
from vqbn.corpora.download import download
from vqbn.corpora.line_corpus import (
    CorpusZip,
    Line,
    held_out_pages,
    list_name,
    normalise_transcript,
    open_corpus,
    read_list,
    scribe_and_page,
)
from vqbn.corpora.line_image import FORMATS, HEIGHT, read_line, width_at
from vqbn.corpora.packed_lines import read_table, write_packed, write_table
from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.files import replacing, write_text
from vqbn.jobs import map_jobs

logger = logging.getLogger(__name__)

URL = "https://www.openslr.org/resources/84/scribblelens.corpus.v1.2.zip"
SETS = ("train", "dev", "test")
FIELDS = Line._fields


def fetch(folder: str | Path, url: str = URL) -> Path:
    """Download the corpus's zip file unless it is there; an interrupted download goes on where it stopped."""
    return download(url, Path(folder) / url.rsplit("/", 1)[1])


def prepare(
    corpus: str | Path,
    out: str | Path,
    colour: str = "bw",
    part: str = "",
    train_on: str = "train",
    dev_share: float = 0.1,
    alphabet: str | Path | None = None,
    max_bad: float = 0.05,
) -> dict[str, dict[str, int]]:
    """Stage 0: checked lists of lines for train, dev (whole pages held out of train) and test.

    Writes `<out>/<set>/lines.tsv`, `alphabet.json`, `corpus.json` (where the zip file is) and `report.json`.

    Args:
        corpus: the zip file.
        out: the folder to write.
        colour: which scans: bw, gray or color.
        part: a slice of the lists, such as tasman; empty: all.
        train_on: the list to train on: train, or unsupervised (every line that is not in the test list).
        dev_share: the share of train's lines that goes to dev, at least.
        alphabet: a JSON file; None: one is made of the transcripts.
        max_bad: the share of transcripts that may be unreadable, 0 to 1.

    Returns:
        Set → counts of lines, pages, scribes, lines with a transcript, and characters.

    Raises:
        InputError: the zip file or a list is unusable, or the alphabet lacks a character.
    """
    source, out = CorpusZip(corpus), Path(out)
    known = Alphabet.read(alphabet) if alphabet else None
    defects = Defects("transcripts", max_bad)
    test = _lines(source, list_name("test", colour, part), defects)
    train = _lines(source, list_name("train", colour, part), defects)
    if train_on == "unsupervised":
        transcribed = {line.id: line for line in train}
        every = _lines(source, list_name("unsupervised", colour), defects)
        train = [transcribed.get(line.id, line) for line in every]
    tested = {line.id for line in test}
    if common := [line.id for line in train if line.id in tested]:
        if train_on != "unsupervised":
            raise InputError(f"{source.path}: {common[0]} is in both the train and the test list")
        train = [line for line in train if line.id not in tested]
    defects.check(len(train) + len(test), str(source.path))
    if shared := len({line.page for line in train} & {line.page for line in test}):
        logger.warning("%s: %d pages have lines both in train and in test", source.path, shared)
    held = held_out_pages(train, dev_share)
    sets = {
        "train": [line for line in train if line.page not in held],
        "dev": [line for line in train if line.page in held],
        "test": test,
    }
    if empty := [name for name, lines in sets.items() if not lines]:
        raise InputError(
            f"{source.path}: {empty[0]} would have no lines: {len(held)} pages are held out of train for a share of "
            f"{dev_share:g}; expected at least two pages in train"
        )
    texts = [line.text for lines in sets.values() for line in lines]
    for lines in sets.values() if known else ():
        for line in lines:
            known.encode(line.text, f"{source.path}: the transcript of {line.id}")
    counts = {name: count_lines(lines) for name, lines in sets.items()}
    for name, lines in sets.items():
        write_table(out / name / "lines.tsv", FIELDS, lines)
    (known or Alphabet.of(texts)).write(out / "alphabet.json")
    write_text(out / "corpus.json", json.dumps({"corpus": str(source.path.absolute())}) + "\n")
    report = {"corpus": source.path.name, "sets": counts, "left_out": defects.reasons}
    write_text(out / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    logger.info("%s: %s", out, "; ".join(f"{name} {describe(count)}" for name, count in counts.items()))
    return counts


def _lines(corpus: CorpusZip, name: str, defects: Defects) -> list[Line]:
    """The lines of a list; a transcript that can't be read is a defect, and its line has none."""
    lines = []
    for image, transcript in read_list(corpus, name):
        key, text = image.rsplit(".", 1)[0], ""
        if transcript is not None:
            try:
                text = normalise_transcript(corpus.text(transcript))
            except InputError as error:
                defects.add(key, str(error))
        lines.append(Line(key, image, *scribe_and_page(image), text))
    return lines


def count_lines(lines: Sequence[Line]) -> dict[str, int]:
    """Lines, pages, scribes, lines with a transcript, and characters."""
    return {
        "lines": len(lines),
        "pages": len({line.page for line in lines}),
        "scribes": len({line.scribe for line in lines}),
        "transcribed": sum(line.text != "" for line in lines),
        "characters": sum(len(line.text) for line in lines),
    }


def describe(count: dict[str, int]) -> str:
    return f"{count['lines']:,} lines on {count['pages']} pages by {count['scribes']} scribes"


def read_lines(data: str | Path, name: str) -> list[Line]:
    """The lines of a set that stage 0 prepared."""
    return [Line(*row) for row in read_table(Path(data) / name / "lines.tsv", FIELDS, "run stage 0 first")]


def corpus_of(data: str | Path, corpus: str | Path | None = None) -> CorpusZip:
    """The zip file that stage 0 read, or where it is now."""
    record = Path(data) / "corpus.json"
    if corpus is None:
        try:
            corpus = json.loads(record.read_text(encoding="utf-8"))["corpus"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{record}: can't be read; run stage 0 first, or give --corpus") from error
    return open_corpus(str(corpus))


def find_alignments(corpus: CorpusZip, paths: str | Path | None = None) -> zipfile.ZipFile | None:
    """The zip file of alignments: the one given, else the last `paths` zip in the corpus's `corpora/`, else None.

    Raises:
        InputError: it is missing or damaged.
    """
    if paths is None:
        inside = corpus.find(r"corpora/.*paths.*\.zip")
        if not inside:
            return None
        source, name = io.BytesIO(corpus.read(inside[-1])), f"{corpus.path}: {inside[-1]}"
    else:
        source, name = paths, str(paths)
    try:
        return zipfile.ZipFile(source)
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; expected the zip file of alignments") from error
    except (zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"{name}: cut short, or not a zip file ({error}): fetch it again") from error


def import_alignments(
    data: str | Path,
    corpus: str | Path | None = None,
    paths: str | Path | None = None,
    sets: Sequence[str] = SETS,
    max_bad: float = 0.05,
) -> dict[str, int]:
    """Stage 1: the character of each column, for the lines that have an alignment, in `<data>/<set>/columns.jsonl`.

    A line that the alignments don't cover is normal (only transcribed lines can have one); one whose alignment is
    damaged or does not fit its image is named, counted and has none.

    Returns:
        Set → lines with an alignment; empty where there is no zip file of alignments.

    Raises:
        InputError: the zip file is unusable, the alphabet lacks a symbol, or too many alignments are bad.
    """
    source, data = corpus_of(data, corpus), Path(data)
    alignments = find_alignments(source, paths)
    for name in sets:
        (data / name / "columns.jsonl").unlink(missing_ok=True)
    if alignments is None:
        return {}
    alphabet = Alphabet.read(data / "alphabet.json")
    members = {_aligned_line(name): name for name in alignments.namelist() if name.endswith(".ali")}
    counts = {}
    for name in sets:
        defects = Defects("alignments", max_bad)
        rows, tried = [], 0
        for line in read_lines(data, name):
            if line.id not in members:
                continue
            tried += 1
            try:
                runs = parse_alignment(
                    alignments.read(members[line.id]).decode("utf-8-sig"), image_width(source, line), members[line.id]
                )
            except (InputError, zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
                defects.add(line.id, str(error))
                continue
            alphabet.encode("".join(symbol for symbol, _ in runs), f"{members[line.id]}")
            rows.append(json.dumps({"id": line.id, "columns": runs}, ensure_ascii=False))
        defects.check(tried, f"{name}'s alignments")
        write_text(data / name / "columns.jsonl", "".join(row + "\n" for row in rows))
        counts[name] = len(rows)
    if not any(counts.values()):
        raise InputError(f"{source.path}: none of the {len(members)} alignments is of a line in the lists")
    return counts


def _aligned_line(member: str) -> str:
    """The line of a member of the alignments' zip file: its path below the root, without the suffix."""
    start = member.find("nl/")
    return member[max(0, start) :].removesuffix(".ali")


def image_width(corpus: CorpusZip, line: Line, height: int = HEIGHT) -> int:
    """Columns of a line at `height` pixels, from its image's header alone."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(corpus.read(line.image)), formats=FORMATS) as image:
            return width_at(image.size, height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{line.image}: damaged, or not an image ({error})") from error


def pack(
    data: str | Path,
    out: str | Path,
    corpus: str | Path | None = None,
    levels: int = 4,
    binarize: str = "otsu",
    sets: Sequence[str] = SETS,
    nj: int = 1,
    max_bad: float = 0.05,
) -> dict[str, dict[str, int]]:
    """Stage 2: every line decoded once, 32 pixels high in a few grey levels, packed into one array per set.

    Writes `<out>/<set>/{pixels.npy,lines.tsv}`, with alignments `labels.npy`, and `<out>/{alphabet,info}.json`.
    Images that can't be decoded are named, counted and left out.

    Args:
        data: the folder of stages 0 and 1.
        out: the folder to write.
        corpus: where the zip file is now; None: where it was in stage 0.
        levels: grey levels; the authors' code has 4.
        binarize: `otsu` or `none`; see `read_line`.
        sets: which sets.
        nj: processes.
        max_bad: the share of a set's lines whose image may be unusable, 0 to 1.

    Returns:
        Set → counts of lines, columns, lines left out, lines with an alignment, and lines narrower than 128 columns.

    Raises:
        InputError: stage 0 has not been run, or too many images are unusable.
    """
    data, out = Path(data), Path(out)
    source = corpus_of(data, corpus)
    alphabet = Alphabet.read(data / "alphabet.json")
    counts: dict[str, dict[str, int]] = {}
    left_out: dict[str, str] = {}
    for name in sets:
        lines = read_lines(data, name)
        defects = Defects("line images", max_bad)
        runs = _read_columns(data / name / "columns.jsonl")
        work = partial(_decode, str(source.path), levels=levels, binarize=binarize)
        kept, images, labels = [], [], []
        for line, image in zip(
            lines, map_jobs(work, [line.image for line in lines], nj, f"packing {name}"), strict=True
        ):
            if isinstance(image, str):
                defects.add(line.id, image)
                continue
            kept.append(line)
            images.append(image)
            labels.append(_labels(runs.get(line.id), len(image), alphabet))
        defects.check(len(lines), f"{source.path}: {name}")
        with replacing(out / name) as folder:
            folder.mkdir()
            write_packed(folder, kept, images, labels if runs else None)
            # An older dump's levels may be others: until all its sets are replaced, nobody is to read them.
            (out / "info.json").unlink(missing_ok=True)
        left_out |= defects.reasons
        counts[name] = {
            "lines": len(kept),
            "columns": sum(map(len, images)),
            "left_out": len(defects.reasons),
            "aligned": sum(bool((row >= 0).any()) for row in labels),
            "narrower_than_128": sum(len(image) < 128 for image in images),
        }
    alphabet.write(out / "alphabet.json")
    info = {"height": HEIGHT, "grey_levels": levels, "binarize": binarize, "sets": counts, "left_out": left_out}
    write_text(out / "info.json", json.dumps(info, indent=1, ensure_ascii=False) + "\n")
    logger.info("%s: %d grey levels, binarize %s: %s", out, levels, binarize, json.dumps(counts))
    return counts


def _decode(corpus: str, image: str, levels: int, binarize: str) -> np.ndarray | str:
    """A line's pixels, or what is wrong with it."""
    try:
        return read_line(open_corpus(corpus).read(image), levels, binarize)
    except InputError as error:
        return str(error)


def _read_columns(path: Path) -> dict[str, list]:
    """Line → runs of (character, columns); empty where stage 1 found none."""
    if not path.exists():
        return {}
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {row["id"]: row["columns"] for row in rows}


def _labels(runs: list | None, columns: int, alphabet: Alphabet) -> np.ndarray:
    """int16 (columns,) character ids; −1 where the line has no alignment."""
    if runs is None:
        return np.full(columns, -1, dtype=np.int16)
    ids = alphabet.encode("".join(symbol for symbol, _ in runs), "the alignments")
    return np.repeat(np.array(ids, dtype=np.int16), [length for _, length in runs])
