"""A made-up transition model of a few phones, as Kaldi would write it in text and in binary."""

import gzip
import struct
from pathlib import Path

TEXT = """<TransitionModel>
<Topology>
<TopologyEntry>
<ForPhones>
2 3
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.75 <Transition> 1 0.25 </State>
<State> 1 <PdfClass> 1 <Transition> 1 0.75 <Transition> 2 0.25 </State>
<State> 2 </State>
</TopologyEntry>
<TopologyEntry>
<ForPhones>
1
</ForPhones>
<State> 0 <PdfClass> 0 <Transition> 0 0.5 <Transition> 1 0.25 <Transition> 2 0.25 </State>
<State> 1 <PdfClass> 1 <Transition> 1 0.5 <Transition> 2 0.5 </State>
<State> 2 </State>
</TopologyEntry>
</Topology>
<Triples> 6
1 0 0
1 1 1
2 0 2
2 1 3
3 0 4
3 1 5
</Triples>
<LogProbs>
 [ 0 -0.1 -0.2 -0.3 -0.4 -0.5 -0.6 -0.7 -0.8 -0.9 -1 -1.1 -1.2 -1.3 ]
</LogProbs>
</TransitionModel>
<DIMENSION> 39
"""
PHONES = "<eps> 0\nSIL 1\nAH0_I 2\nT_E 3\n#0 4\n"

# The transition-ids of the model above, by phone, state and arc.
SIL_LOOP_0, SIL_NEXT, SIL_SKIP, SIL_LOOP_1, SIL_END = 1, 2, 3, 4, 5
AH_LOOP_0, AH_NEXT, AH_LOOP_1, AH_END = 6, 7, 8, 9
T_LOOP_0, T_NEXT, T_LOOP_1, T_END = 10, 11, 12, 13


def _integer(value: int) -> bytes:
    return struct.pack("<bi", 4, value)


def _vector(values: list[int]) -> bytes:
    return _integer(len(values)) + struct.pack(f"<{len(values)}i", *values)


def binary_model() -> bytes:
    """The model of `TEXT`, byte by byte as Kaldi's writers put it."""
    speech = [(0, [0, 1]), (1, [1, 2]), (-1, [])]
    silence = [(0, [0, 1, 2]), (1, [1, 2]), (-1, [])]
    content = b"\0B<TransitionModel> <Topology> " + _vector([1, 2, 3]) + _vector([-1, 1, 0, 0]) + _integer(2)
    for entry in (speech, silence):
        content += _integer(len(entry))
        for pdf_class, destinations in entry:
            content += _integer(pdf_class) + _integer(len(destinations))
            for destination in destinations:
                content += _integer(destination) + struct.pack("<bf", 4, 1 / len(destinations))
    content += b"</Topology> <Triples> " + _integer(6)
    for phone in (1, 2, 3):
        for state in (0, 1):
            content += _integer(phone) + _integer(state) + _integer(2 * (phone - 1) + state)
    content += (
        b"</Triples> <LogProbs> FV " + _integer(14) + struct.pack("<14f", *(-number / 10 for number in range(14)))
    )
    return content + b"</LogProbs> </TransitionModel> <DIMENSION> "


def binary_alignments(table: dict[str, list[int]]) -> bytes:
    """An archive of integer vectors, not yet gzipped."""
    content = b""
    for utterance, ids in table.items():
        content += utterance.encode() + b" \0B" + _integer(len(ids)) + b"".join(map(_integer, ids))
    return content


def text_alignments(table: dict[str, list[int]]) -> bytes:
    """The same archive as text."""
    return "".join(f"{utterance} {' '.join(map(str, ids))} \n" for utterance, ids in table.items()).encode()


def ids(names: str) -> list[int]:
    """Transition-ids from the names above: `ids("AH_NEXT AH_END")`."""
    return [globals()[name] for name in names.split()]


def write_ali_dir(folder: Path, jobs: list[dict[str, str]]) -> Path:
    """Make an alignment directory with one archive per item of `jobs`: utterance → names of transition-ids."""
    folder.mkdir(parents=True)
    (folder / "final.mdl").write_bytes(binary_model())
    (folder / "phones.txt").write_text(PHONES)
    (folder / "num_jobs").write_text(f"{len(jobs)}\n")
    for number, table in enumerate(jobs, 1):
        archive = binary_alignments({utterance: ids(names) for utterance, names in table.items()})
        (folder / f"ali.{number}.gz").write_bytes(gzip.compress(archive))
    return folder
