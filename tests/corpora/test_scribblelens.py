"""Stages 0 to 2 of the handwriting recipe, on the mini corpus, on damaged ones and on real handwriting."""

import http.server
import io
import json
import shutil
import threading
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqbn.bin.prepare_scribblelens import main
from vqbn.corpora.mini_handwriting import make_mini_handwriting
from vqbn.corpora.packed_lines import LineDataset
from vqbn.corpora.scribblelens import SETS, import_alignments, pack, prepare, read_lines
from vqbn.errors import InputError

ROOT = "scribblelens.corpus.v1"


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    """The mini corpus's zip file; read-only."""
    path = tmp_path_factory.mktemp("mini") / "mini.zip"
    make_mini_handwriting(path, lines=90)
    return path


@pytest.fixture(scope="module")
def prepared(mini, tmp_path_factory) -> Path:
    """A folder with data/ and dump/ of the mini corpus; read-only."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(mini, folder / "data")
    import_alignments(folder / "data")
    pack(folder / "data", folder / "dump")
    return folder


def changed(source: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """A copy of a corpus's zip file with some files replaced, added, or (None) left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = changes.get(name.removeprefix(f"{ROOT}/"), old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in changes.items():
            if content is not None and f"{ROOT}/{name}" not in old.namelist():
                new.writestr(f"{ROOT}/{name}", content)
    return target


def content(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as corpus:
        return corpus.read(f"{ROOT}/{name}")


def alignments_changed(path: Path, change) -> bytes:
    """The corpus's alignments with the first one's text changed."""
    result = io.BytesIO()
    inner = io.BytesIO(content(path, "corpora/scribblelens.paths.mini.zip"))
    with zipfile.ZipFile(inner) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            new.writestr(name, change(text) if name == f"{ROOT}/nl/vanneck/3/line1.ali" else text)
    return result.getvalue()


def test_sets_share_no_page_and_lose_no_line(prepared, mini):
    sets = {name: read_lines(prepared / "data", name) for name in SETS}
    pages = {name: {line.page for line in lines} for name, lines in sets.items()}
    assert not pages["train"] & pages["dev"]
    assert not pages["train"] & pages["test"]
    listed = content(mini, "corpora/nl.bw.lines.train.dat").decode().splitlines()
    assert sorted(line.image for name in ("train", "dev") for line in sets[name]) == sorted(
        x.split()[0] for x in listed
    )
    report = json.loads((prepared / "data/report.json").read_text())
    assert {name: count["lines"] for name, count in report["sets"].items()} == {k: len(v) for k, v in sets.items()}


def test_packed_lines_are_what_decoding_each_again_gives(prepared, mini):
    for name in SETS:
        dataset = LineDataset(prepared / "dump", name)
        for number in (0, len(dataset) - 1):
            with Image.open(io.BytesIO(content(mini, f"{dataset.ids[number]}.jpg"))) as image:
                width = int(0.5 + 32 * image.width / image.height)
                grey = np.asarray(image.convert("L").resize((width, 32), Image.Resampling.BICUBIC)) / 255
            expected = np.clip(np.floor(4 * grey), 0, 3).astype(np.uint8).T
            np.testing.assert_array_equal(dataset.pixels(number), expected)
            np.testing.assert_array_equal(dataset.pixels(number, 5, 7), expected[5:12])


def test_labels_stand_over_the_ink_of_their_characters(prepared):
    dataset = LineDataset(prepared / "dump", "train")
    space = dataset.alphabet.index[" "]
    ink = {True: [], False: []}
    for number in range(len(dataset)):
        labels, pixels = dataset.labels(number), dataset.pixels(number)
        assert len(labels) == dataset.columns[number]
        spoken = [label for i, label in enumerate(labels) if label and (i == 0 or labels[i - 1] != label)]
        text = dataset.alphabet.encode(dataset.texts[number], "")
        assert spoken == [t for i, t in enumerate(text) if i == 0 or t != text[i - 1]]
        for is_space in ink:
            ink[is_space].append((pixels[(labels > 0) & ((labels == space) == is_space)] < 2).mean())
    assert np.mean(ink[False]) > 5 * np.mean(ink[True])


def test_without_alignments_stage_1_says_so_and_labels_are_unknown(mini, tmp_path, capsys, caplog):
    corpus = changed(mini, tmp_path / "corpus.zip", {"corpora/scribblelens.paths.mini.zip": None})
    data = str(tmp_path / "data")
    assert main(["lists", "--corpus", str(corpus), "--out", data]) == 0
    with caplog.at_level("INFO"):
        assert main(["align", "--data", data]) == 0
    assert "character accuracy" in caplog.text
    assert main(["pack", "--data", data, "--out", str(tmp_path / "dump")]) == 0
    dataset = LineDataset(tmp_path / "dump", "dev")
    assert not dataset.aligned
    assert set(dataset.labels(0)) == {-1}


def test_unsupervised_training_never_sees_a_test_line(mini, tmp_path):
    extra = content(mini, "nl/vanneck/3/line1.jpg")
    listed = content(mini, "corpora/all.nl.bw.lines.unsupervised.dat") + b"nl/roggeveen/line1.jpg\n"
    changes = {"nl/roggeveen/line1.jpg": extra, "corpora/all.nl.bw.lines.unsupervised.dat": listed}
    corpus = changed(mini, tmp_path / "corpus.zip", changes)
    counts = prepare(corpus, tmp_path / "data", train_on="unsupervised")
    lines = {name: {line.id for line in read_lines(tmp_path / "data", name)} for name in SETS}
    assert not lines["test"] & (lines["train"] | lines["dev"])
    assert "nl/roggeveen/line1" in lines["train"] | lines["dev"]
    assert counts["train"]["lines"] + counts["dev"]["lines"] + counts["test"]["lines"] == 91


def test_a_zip_cut_short_ends_with_one_line(mini, tmp_path, capsys):
    cut = tmp_path / "cut.zip"
    cut.write_bytes(mini.read_bytes()[:-4000])
    assert main(["lists", "--corpus", str(cut), "--out", str(tmp_path / "data")]) == 1
    assert f"{cut}: cut short" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (b"nl/vanneck/3/line1.jpg\nnl/vanneck/3/line999.jpg\n", "train.dat:2: names nl/vanneck/3/line999.jpg"),
        (b"nl/vanneck/3/line1.jpg nl/none.txt\n", "train.dat:1: names nl/none.txt"),
        (b"nl/vanneck/3/line1.jpg\n" * 2, "train.dat:2: nl/vanneck/3/line1.jpg is also on line 1"),
        (b"\n", "the list is empty"),
        (b"a b c\n", "train.dat:1: found 3 fields"),
        (None, "holds no list corpora/nl.bw.lines.train.dat; it has: all.nl.bw"),
    ],
)
def test_a_bad_list_ends_the_run_with_its_line(mini, tmp_path, listed, said):
    corpus = changed(mini, tmp_path / "corpus.zip", {"corpora/nl.bw.lines.train.dat": listed})
    with pytest.raises(InputError, match=r"corpus\.zip") as error:
        prepare(corpus, tmp_path / "data")
    assert said in str(error.value)


def test_a_broken_jpeg_is_named_counted_and_left_out(mini, prepared, tmp_path, caplog):
    broken = [line.image for line in read_lines(prepared / "data", "train")][2:4]
    whole = [content(mini, image) for image in broken]
    changes = {broken[0]: whole[0][: len(whole[0]) // 2], broken[1]: b"no image"}
    corpus = changed(mini, tmp_path / "corpus.zip", changes)
    prepare(corpus, tmp_path / "data")
    counts = pack(tmp_path / "data", tmp_path / "dump", max_bad=0.2)
    assert counts["train"]["left_out"] == 2
    left_out = json.loads((tmp_path / "dump/info.json").read_text())["left_out"]
    assert sorted(left_out) == sorted(image.removesuffix(".jpg") for image in broken)
    assert all(image.removesuffix(".jpg") in caplog.text for image in broken)
    before, after = (LineDataset(folder / "dump", "train") for folder in (prepared, tmp_path))
    assert after.ids == [line for line in before.ids if line not in left_out]
    np.testing.assert_array_equal(after.pixels(2), before.pixels(4))
    with pytest.raises(InputError, match=r"2 of 60 line images are unusable, more than 1% \(--max_bad\)"):
        pack(tmp_path / "data", tmp_path / "strict", max_bad=0.01)


def test_damage_inside_the_zip_is_found(mini, prepared, tmp_path):
    data = bytearray(mini.read_bytes())
    image = read_lines(prepared / "data", "train")[0].image
    with zipfile.ZipFile(mini) as corpus:
        info = corpus.getinfo(f"{ROOT}/{image}")
    middle = info.header_offset + 200 + info.file_size // 2
    data[middle] ^= 0xFF
    (tmp_path / "damaged.zip").write_bytes(data)
    prepare(tmp_path / "damaged.zip", tmp_path / "data")
    assert pack(tmp_path / "data", tmp_path / "dump")["train"]["left_out"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "\n".join(text.splitlines()[:-1]), "it has"),
        (lambda text: text.replace(" ", " 1", 1), "its first line says"),
        (lambda text: text.replace("\n7 8 ", "\n7 9 "), ":9: expected '7 8 symbol score'"),
        (lambda text: text.replace(text.split()[1], "2²", 1), "expected 'image columns"),
        (lambda text: "", "expected 'image columns"),
    ],
)
def test_a_bad_alignment_is_named_and_left_out(mini, tmp_path, caplog, change, said):
    changes = {"corpora/scribblelens.paths.mini.zip": alignments_changed(mini, change)}
    prepare(changed(mini, tmp_path / "corpus.zip", changes), tmp_path / "data")
    counts = import_alignments(tmp_path / "data")
    assert counts == {"train": 59, "dev": 10, "test": 20}
    assert "nl/vanneck/3/line1" in caplog.text
    assert said in caplog.text
    assert pack(tmp_path / "data", tmp_path / "dump")["train"]["aligned"] == 59


def test_damage_inside_the_zip_of_alignments_is_found(prepared, tmp_path, mini):
    data = shutil.copytree(prepared / "data", tmp_path / "data")
    name = f"{ROOT}/nl/vanneck/3/line1.ali"
    packed = io.BytesIO()
    inner = io.BytesIO(content(mini, "corpora/scribblelens.paths.mini.zip"))
    with zipfile.ZipFile(inner) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
        start = new.getinfo(name).header_offset + 30 + len(name)
    damaged = bytearray(packed.getvalue())
    damaged[start] = 0xFF  # no type of a deflated block
    (tmp_path / "paths.zip").write_bytes(damaged)
    assert import_alignments(data, paths=tmp_path / "paths.zip") == {"train": 59, "dev": 10, "test": 20}


def test_aligned_images_of_more_pixels_than_a_line_has_are_refused(prepared, tmp_path, monkeypatch):
    data = shutil.copytree(prepared / "data", tmp_path / "data")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"nl/\w+/\d+/line\d+\.jpg: damaged.*decompression bomb"):
        import_alignments(data)


def test_an_alphabet_that_lacks_a_character_is_refused(mini, tmp_path):
    alphabet = tmp_path / "alphabet.json"
    alphabet.write_text(json.dumps({"*": 0, " ": 1, "_": 1, **{c: i for i, c in enumerate("abcdefghijklmnop", 2)}}))
    with pytest.raises(InputError, match=r"transcript of nl/\w+/\d+/line\d+: the alphabet has no '[q-z]' \(U\+00"):
        prepare(mini, tmp_path / "data", alphabet=alphabet)


def test_an_alphabet_that_lacks_a_symbol_of_an_alignment_is_refused(mini, tmp_path):
    strange = alignments_changed(mini, lambda text: text.replace("\n0 1 *", "\n0 1 ø"))
    prepare(changed(mini, tmp_path / "corpus.zip", {"corpora/scribblelens.paths.mini.zip": strange}), tmp_path / "data")
    with pytest.raises(InputError, match=r"nl/vanneck/3/line1\.ali: the alphabet has no 'ø' \(U\+00F8\)"):
        import_alignments(tmp_path / "data")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "no such file; expected the zip file of alignments"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cut short, or not a zip file"),
    ],
)
def test_a_zip_of_alignments_that_can_not_be_opened_ends_with_one_line(mini, prepared, tmp_path, capsys, damage, said):
    data, paths = shutil.copytree(prepared / "data", tmp_path / "data"), tmp_path / "paths.zip"
    before = (data / "dev/columns.jsonl").read_bytes()
    paths.write_bytes(content(mini, "corpora/scribblelens.paths.mini.zip"))
    damage(paths)
    assert main(["align", "--data", str(data), "--paths", str(paths)]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert f"{paths}: {said}" in error
    assert (data / "dev/columns.jsonl").read_bytes() == before


@pytest.mark.parametrize("text", ["", "[]", '{"*": 0, "a": "x"}', '{"*": 1, "a": 0}', '{"a": -1}'])
def test_a_bad_alphabet_is_refused(mini, tmp_path, text):
    (tmp_path / "alphabet.json").write_text(text)
    with pytest.raises(InputError, match=r"alphabet\.json"):
        prepare(mini, tmp_path / "data", alphabet=tmp_path / "alphabet.json")


def test_lines_packed_only_in_part_are_not_read_with_other_levels(prepared, tmp_path):
    data, dump = (shutil.copytree(prepared / name, tmp_path / name) for name in ("data", "dump"))
    table = data / "dev/lines.tsv"
    table.write_text(table.read_text().replace(".jpg", ".png"))
    with pytest.raises(InputError, match="line images are unusable"):
        pack(data, dump, levels=16)
    with pytest.raises(InputError, match=r"info\.json: can't be read: .*; run stage 2 first"):
        LineDataset(dump, "train")


def test_a_corpus_is_downloaded_once(mini, tmp_path):
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=mini.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{mini.name}"
        lists = ["lists", "--download", str(tmp_path / "downloads"), "--url", url, "--out", str(tmp_path / "data")]
        assert main(lists) == 0
        server.shutdown()
    assert (tmp_path / "downloads" / mini.name).read_bytes() == mini.read_bytes()
    first = (tmp_path / "data/train/lines.tsv").read_bytes()
    assert main(lists) == 0
    assert (tmp_path / "data/train/lines.tsv").read_bytes() == first


@pytest.mark.parametrize("name", ["pixels.npy", "lines.tsv", "labels.npy"])
def test_a_damaged_dump_is_named(prepared, tmp_path, name):
    dump = shutil.copytree(prepared / "dump", tmp_path / "dump")
    file = dump / "dev" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=name):
        LineDataset(dump, "dev")


def test_the_mini_corpus_is_the_same_for_the_same_seed(mini, tmp_path):
    make_mini_handwriting(tmp_path / "again.zip", lines=90)
    make_mini_handwriting(tmp_path / "other.zip", lines=90, seed=2)
    name = "nl/vanneck/3/line1.jpg"
    assert content(tmp_path / "again.zip", name) == content(mini, name) != content(tmp_path / "other.zip", name)


def test_real_handwriting(real_data, tmp_path):
    corpus = real_data / "handwriting_fr18.scribblelens-layout.zip"
    counts = prepare(corpus, tmp_path / "data")
    assert counts["train"]["lines"] + counts["dev"]["lines"] == 1421
    assert counts["test"] == {"lines": 725, "pages": 25, "scribes": 10, "transcribed": 725, "characters": 32144}
    assert 0.1 <= counts["dev"]["lines"] / 1421 < 0.15
    assert import_alignments(tmp_path / "data") == {}
    packed = pack(tmp_path / "data", tmp_path / "dump", sets=("dev",))
    assert packed["dev"]["left_out"] == 0
    plain = pack(tmp_path / "data", tmp_path / "grey", sets=("dev",), binarize="none")
    assert plain["dev"]["columns"] == packed["dev"]["columns"]

    def white(dump: str) -> float:
        dataset = LineDataset(tmp_path / dump, "dev")
        return float(np.mean([(dataset.pixels(i) == 3).mean() for i in range(len(dataset))]))

    # Binarised, the paper is white; in grey its tone falls between two levels.
    assert white("dump") > 0.8 > white("grey")
