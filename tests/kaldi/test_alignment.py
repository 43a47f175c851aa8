"""Alignments: phones end where Kaldi ends them, and what is no alignment is refused or left out."""

import gzip
import itertools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.alignment import (
    Alignments,
    PhoneSegment,
    alignment_files,
    read_alignments,
    read_phone_alignments,
    split_phones,
)
from vqbn.kaldi.transition_model import read_transition_model


@pytest.fixture
def phones_of(tmp_path, tiny_kaldi):
    """Read the alignments of one job, given as names of transition-ids, through an alignment directory."""

    def read(table, broken=None):
        folder = tiny_kaldi.write_ali_dir(tmp_path / "tri3b_ali", [table])
        return read_phone_alignments(folder, broken=broken)

    return read


def random_path(rng, tiny_kaldi, loops_first):
    """A random path through the tiny model and the phones that it passes."""
    arcs = {
        "SIL": (tiny_kaldi.SIL_LOOP_0, tiny_kaldi.SIL_NEXT, tiny_kaldi.SIL_LOOP_1, tiny_kaldi.SIL_END),
        "AH": (tiny_kaldi.AH_LOOP_0, tiny_kaldi.AH_NEXT, tiny_kaldi.AH_LOOP_1, tiny_kaldi.AH_END),
        "T": (tiny_kaldi.T_LOOP_0, tiny_kaldi.T_NEXT, tiny_kaldi.T_LOOP_1, tiny_kaldi.T_END),
    }
    ids, segments = [], []
    for phone in rng.choice(list(arcs), size=rng.integers(1, 8)):
        loop_0, leave_0, loop_1, leave_1 = arcs[phone]
        first, second = rng.integers(0, 3, size=2)
        if loops_first:
            path = [loop_0] * first + [leave_0] + [loop_1] * second + [leave_1]
        else:
            path = [leave_0] + [loop_0] * first + [leave_1] + [loop_1] * second
        ids += path
        segments.append(PhoneSegment(str(phone), len(path)))
    return ids, segments


@pytest.mark.parametrize("loops_first", [False, True])
@pytest.mark.parametrize("form", ["binary", "text", "not zipped"])
def test_random_paths_give_their_phones_back(tmp_path, tiny_kaldi, loops_first, form):
    rng = np.random.default_rng(0)
    paths = {f"utt{number:03}": random_path(rng, tiny_kaldi, loops_first) for number in range(100)}
    folder = tiny_kaldi.write_ali_dir(tmp_path / "ali", [{}])
    writer = tiny_kaldi.text_alignments if form == "text" else tiny_kaldi.binary_alignments
    content = writer({utterance: ids for utterance, (ids, _) in paths.items()})
    (folder / "ali.1.gz").write_bytes(gzip.compress(content))
    if form == "not zipped":
        (tmp_path / "plain.ali").write_bytes(content)
        plain, zipped = read_alignments(tmp_path / "plain.ali"), read_alignments(folder / "ali.1.gz")
        np.testing.assert_array_equal(plain.ids, zipped.ids)
    assert read_phone_alignments(folder) == {utterance: segments for utterance, (_, segments) in paths.items()}


def test_a_phone_keeps_the_self_loops_that_follow_its_final_arc(phones_of):
    table = phones_of({"u": "SIL_SKIP SIL_LOOP_0 SIL_LOOP_0 AH_NEXT AH_END AH_LOOP_1 AH_LOOP_1 T_NEXT T_END"})
    assert table == {"u": [("SIL", 3), ("AH", 4), ("T", 2)]}


def test_equal_phones_in_a_row_are_two_phones(phones_of):
    table = phones_of({"u": "AH_NEXT AH_END AH_LOOP_1 AH_NEXT AH_LOOP_0 AH_END SIL_NEXT SIL_END SIL_SKIP"})
    assert table == {"u": [("AH", 3), ("AH", 3), ("SIL", 2), ("SIL", 1)]}


def test_utterances_do_not_run_into_each_other(phones_of):
    table = phones_of({"a": "AH_NEXT AH_END", "b": "AH_NEXT AH_END AH_LOOP_1", "c": "AH_NEXT AH_LOOP_0 AH_END"})
    assert table == {"a": [("AH", 2)], "b": [("AH", 3)], "c": [("AH", 3)]}


class MadeUpTopology(NamedTuple):
    """A topology whose paths are known from how it was made.

    Attributes:
        entry: it, as Kaldi writes it in a model's text.
        states: the transition states of its phones, likewise.
        letters: for each phone a letter per transition-id, in the model's order; small ones are self-loops.
        orders: what one phone may be, with self-loops before the arc that leaves their state, and after it.
        longest: the paths of up to so many frames are tried.
    """

    entry: str
    states: str
    letters: tuple[str, ...]
    orders: tuple[str, str]
    longest: int


TOPOLOGIES = {
    # Kaldi's chain models: one state; here phone 1 in two contexts, and phone 2.
    "chain": MadeUpTopology(
        "<ForPhones> 1 2 </ForPhones> <State> 0 <ForwardPdfClass> 0 <SelfLoopPdfClass> 1 <Transition> 0 0.5 "
        "<Transition> 1 0.5 </State> <State> 1 </State>",
        "<Tuples> 3 1 0 0 1 1 0 2 3 2 0 4 5 </Tuples>",
        ("aAbB", "cC"),
        ("a*A|b*B|c*C", "Aa*|Bb*|Cc*"),
        6,
    ),
    # Kaldi's first chain models: one frame, and then maybe more of a second state.
    "two-state chain": MadeUpTopology(
        "<ForPhones> 1 2 </ForPhones> <State> 0 <PdfClass> 0 <Transition> 1 0.5 <Transition> 2 0.5 </State> "
        "<State> 1 <PdfClass> 1 <Transition> 1 0.5 <Transition> 2 0.5 </State> <State> 2 </State>",
        "<Triples> 4 1 0 0 1 1 1 2 0 2 2 1 3 </Triples>",
        ("NEmM", "OFpP"),
        ("E|Nm*M|F|Op*P", "E|NMm*|F|OPp*"),
        5,
    ),
    # States that can be skipped, as in silence, and an arc that goes back.
    "skips": MadeUpTopology(
        "<ForPhones> 1 </ForPhones> <State> 0 <PdfClass> 0 <Transition> 0 0.5 <Transition> 1 0.25 <Transition> 2 0.25 "
        "</State> <State> 1 <PdfClass> 1 <Transition> 1 0.5 <Transition> 0 0.25 <Transition> 2 0.25 </State> "
        "<State> 2 </State>",
        "<Triples> 2 1 0 0 1 1 1 </Triples>",
        ("aNSbBE",),
        ("(?:a*Nb*B)*(?:a*S|a*Nb*E)", "(?:Na*Bb*)*(?:Sa*|Na*Eb*)"),
        6,
    ),
}


def write_topology(path, name):
    """Write a text model of one of `TOPOLOGIES`."""
    made_up = TOPOLOGIES[name]
    path.write_text(
        f"<TransitionModel> <Topology> <TopologyEntry> {made_up.entry} </TopologyEntry> </Topology> {made_up.states} "
        f"<LogProbs> [ 0{' -1' * len(''.join(made_up.letters))} ] </LogProbs> </TransitionModel>\n"
    )
    return path


def every_sequence(name):
    """All sequences of its letters, as long as are tried."""
    made_up = TOPOLOGIES[name]
    lengths = range(1, made_up.longest + 1)
    return ["".join(path) for n in lengths for path in itertools.product("".join(made_up.letters), repeat=n)]


def every_path(name, order):
    """Those among them that are paths in this order."""
    phone = TOPOLOGIES[name].orders[order]
    return [path for path in every_sequence(name) if re.fullmatch(f"(?:{phone})+", path)]


def lay_out(name, paths):
    """Sequences of letters as alignments, whose names they are."""
    letters = "".join(TOPOLOGIES[name].letters)
    ids = np.array([1 + letters.index(letter) for letter in "".join(paths)], dtype=np.int32)
    return Alignments(Path("ali.1.gz"), paths, ids, np.cumsum([0, *map(len, paths)]))


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_short_sequence_is_cut_as_its_topology_says(tmp_path, name):
    made_up = TOPOLOGIES[name]
    phone_of = {letter: phone for phone, own in enumerate(made_up.letters, 1) for letter in own}
    model = read_transition_model(write_topology(tmp_path / "final.mdl", name))
    assert [letter.islower() for letter in "".join(made_up.letters)] == model.self_loops[1:].tolist()

    found = lay_out(name, every_sequence(name))
    runs = split_phones(found, model)
    possible = [set(every_path(name, order)) for order in (0, 1)]
    assert possible[0] & possible[1]
    for number, path in enumerate(found.utterances):
        # Kaldi takes a path that may be of both orders for one of the first.
        order = next((order for order in (0, 1) if path in possible[order]), None)
        assert runs.broken[number] == (order is None), path
        if order is not None:
            here = slice(*runs.offsets[number : number + 2])
            expected = [(phone_of[phone[0]], len(phone)) for phone in re.findall(made_up.orders[order], path)]
            assert list(zip(runs.phones[here].tolist(), runs.frames[here].tolist(), strict=True)) == expected, path


@pytest.mark.parametrize(
    "path",
    [
        "AH_NEXT",  # ends inside a phone
        "AH_NEXT AH_END T_NEXT T_LOOP_0",
        "AH_END",  # begins inside a phone
        "AH_NEXT T_END",  # another phone's second state
        "AH_NEXT AH_NEXT AH_END",  # the first state twice
        "AH_NEXT AH_END SIL_LOOP_1 T_NEXT T_END",  # a self-loop of a state that was not entered
        "",
    ],
)
def test_what_is_no_path_is_left_out_and_harms_no_neighbour(phones_of, path):
    broken = {}
    table = phones_of({"a": "T_NEXT T_END", "b": path, "c": "T_NEXT T_END T_LOOP_1"}, broken)
    assert table == {"a": [("T", 2)], "c": [("T", 3)]}
    assert list(broken) == ["b"]
    assert "ali.1.gz: the alignment is empty or no path" in broken["b"]


def test_unless_asked_for_a_broken_path_is_an_error(phones_of):
    with pytest.raises(InputError, match=r"ali\.1\.gz: 'b': the alignment is empty or no path"):
        phones_of({"a": "T_NEXT T_END", "b": "T_END"})


def test_only_wanted_utterances_of_all_jobs_are_given(tmp_path, tiny_kaldi):
    jobs = [{f"u{number:02}": "T_NEXT T_END"} for number in range(11)]
    folder = tiny_kaldi.write_ali_dir(tmp_path / "ali", jobs)
    assert [path.name for path in alignment_files(folder)] == [f"ali.{number}.gz" for number in range(1, 12)]
    assert list(read_phone_alignments(folder)) == [f"u{number:02}" for number in range(11)]
    assert read_phone_alignments(folder, wanted={"u09", "elsewhere"}) == {"u09": [("T", 2)]}


def test_another_phone_table_can_be_given(tmp_path, tiny_kaldi):
    folder = tiny_kaldi.write_ali_dir(tmp_path / "ali", [{"u": "T_NEXT T_END"}])
    (folder / "phones.txt").rename(tmp_path / "table.txt")
    assert read_phone_alignments(folder, phones=tmp_path / "table.txt") == {"u": [("T", 2)]}
    with pytest.raises(InputError, match=r"phones\.txt: can't be read"):
        read_phone_alignments(folder)


def test_an_unknown_transition_id_means_another_model(tmp_path, tiny_kaldi):
    folder = tiny_kaldi.write_ali_dir(tmp_path / "ali", [{}])
    for wrong in (14, 0, -5):
        content = tiny_kaldi.binary_alignments({"a": [12, 13], "b": [12, wrong]})
        (folder / "ali.1.gz").write_bytes(gzip.compress(content))
        with pytest.raises(InputError, match=rf"'b' has transition-id {wrong}, but .*final\.mdl has 1 to 13"):
            read_phone_alignments(folder)


def test_missing_and_double_parts(tmp_path, tiny_kaldi):
    folder = tiny_kaldi.write_ali_dir(tmp_path / "ali", [{"u": "T_NEXT T_END"}, {"u": "T_NEXT T_END"}])
    with pytest.raises(InputError, match=r"ali\.2\.gz: 'u' is aligned twice"):
        read_phone_alignments(folder)
    (folder / "ali.1.gz").unlink()
    with pytest.raises(InputError, match=r"ali\.1\.gz is missing"):
        read_phone_alignments(folder)
    (folder / "ali.2.gz").unlink()
    with pytest.raises(InputError, match=r"has no ali\.\*\.gz"):
        read_phone_alignments(folder)
    with pytest.raises(InputError, match="no such folder"):
        alignment_files(tmp_path / "nowhere")


def test_damaged_and_foreign_archives_are_refused(tmp_path, tiny_kaldi):
    archive = tiny_kaldi.binary_alignments({"a": [12, 13] * 50, "b": [12, 13]})
    zipped = gzip.compress(archive)
    for content, message in [
        (zipped[: len(zipped) // 2], "damaged or cut short"),
        (zipped[:-4], "damaged or cut short"),
        (zipped[:20] + b"\0\0\0\0" + zipped[24:], "damaged or cut short"),
        (gzip.compress(archive[:-3]), "not an archive of alignments, or cut short"),
        (gzip.compress(b"a \0BFM \4\1\0\0\0\4\1\0\0\0\0\0\0\0"), "not an archive of alignments"),
        (gzip.compress(b"a 1 2 three\n"), "not an archive of alignments"),
        (gzip.compress(b"a 1 2 99999999999\n"), "not an archive of alignments"),
        (gzip.compress(b"\xff\xfe\0"), "not an archive of alignments"),
        (gzip.compress(b""), "has no alignments in it"),
        (b"hello", "not a gzip file"),
        (b"", "not a gzip file"),
    ]:
        (tmp_path / "ali.1.gz").write_bytes(content)
        with pytest.raises(InputError, match=rf"ali\.1\.gz: {message}"):
            read_alignments(tmp_path / "ali.1.gz")
    with pytest.raises(InputError, match=r"ali\.2\.gz: can't be read"):
        read_alignments(tmp_path / "ali.2.gz")


def test_real_alignments_equal_kaldis_phones_pdfs_and_lengths(real_data):
    kaldi = real_data / "speechocean762/kaldi"

    def expected(name):
        text = gzip.decompress((kaldi / f"expected/train/{name}.txt.gz").read_bytes()).decode()
        return dict(line.strip().split(" ", 1) for line in text.splitlines())

    phones, pdfs, lengths = expected("phones_per_frame"), expected("pdfs"), expected("phones_lengths")
    folder = kaldi / "exp/tri3b_ali_train"
    model = read_transition_model(folder / "final.mdl")
    frames = 0
    for path in alignment_files(folder):
        alignments = read_alignments(path)
        runs = split_phones(alignments, model)
        assert not runs.broken.any()
        frames += len(alignments.ids)
        per_frame, pdf = model.phones[alignments.ids].tolist(), model.pdfs[alignments.ids].tolist()
        pairs = list(zip(runs.phones.tolist(), runs.frames.tolist(), strict=True))
        for number, utterance in enumerate(alignments.utterances):
            here = slice(*alignments.offsets[number : number + 2])
            assert per_frame[here] == list(map(int, phones.pop(utterance).split()))
            assert pdf[here] == list(map(int, pdfs.pop(utterance).split()))
            segments = slice(*runs.offsets[number : number + 2])
            assert " ; ".join(f"{phone} {length}" for phone, length in pairs[segments]) == lengths.pop(utterance)
    assert frames == 1_030_474
    assert not phones
    assert not lengths
