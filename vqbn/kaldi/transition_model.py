"""Kaldi's transition model: what each transition-id of an alignment stands for.

A transition-id is one arc of one HMM state of one phone with one pdf. The ids count from 1: over the model's transition
states in order, and for each over the arcs that the phone's topology gives its HMM state. The model is the first part
of every Kaldi acoustic model (`final.mdl`), binary or text; the rest of the file is not read.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqbn.errors import InputError
from vqbn.kaldi.symbols import read_symbols

BINARY = b"\0B"
END = b"</TransitionModel>"
# A binary integer is written as its size in bytes, then its value.
INTEGER = np.dtype([("size", "i1"), ("value", "<i4")])
NO_PDF = -1


@dataclass(frozen=True)
class TransitionModel:
    """What each transition-id means, as arrays indexed by it; entry 0 is not used.

    Attributes:
        path: the file it was read from.
        phones: int32 (ids + 1,), the phone's id in `phones.txt`.
        states: int32 (ids + 1,), the transition state, counted from 1.
        hmm_states: int32 (ids + 1,), the state of the phone's topology that the arc leaves.
        destinations: int32 (ids + 1,), the state of the phone's topology that the arc enters.
        pdfs: int32 (ids + 1,), the pdf that emits the frame.
        self_loops: bool (ids + 1,), whether the arc stays in its state.
        finals: bool (ids + 1,), whether the arc enters the topology's last state, which ends the phone.
        phone_ids: the phones that have a topology, sorted.
    """

    path: Path
    phones: np.ndarray
    states: np.ndarray
    hmm_states: np.ndarray
    destinations: np.ndarray
    pdfs: np.ndarray
    self_loops: np.ndarray
    finals: np.ndarray
    phone_ids: tuple[int, ...]

    def __len__(self) -> int:
        """How many transition-ids there are."""
        return len(self.phones) - 1


# A phone's topology: for each of its HMM states, the states that the arcs out of it enter, in order.
Topology = list[tuple[int, ...]]


class Damaged(Exception):
    """What was found in a model file isn't what should be there."""


def read_transition_model(path: str | Path) -> TransitionModel:
    """Read the transition model at the start of a Kaldi model file, binary or text.

    Raises:
        InputError: the file is missing, cut short, or not a Kaldi model.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; expected Kaldi's final.mdl") from error
    try:
        source = _Binary(content) if content.startswith(BINARY) else _Text(content)
        source.expect("<TransitionModel>")
        topology = source.topology()
        kind = source.token()
        if kind not in ("<Triples>", "<Tuples>"):
            raise Damaged(f"'{kind}' where <Triples> or <Tuples> should be")
        columns = 3 if kind == "<Triples>" else 4
        tuples = source.integers(columns * source.integer()).reshape(-1, columns)
        source.expect(kind.replace("<", "</"))
        model = _number_transitions(path, topology, tuples)
        source.expect("<LogProbs>")
        probabilities = source.vector_size()
        if probabilities != len(model) + 1:
            raise Damaged(f"{probabilities} log-probabilities for {len(model)} transition-ids")
        source.expect("</LogProbs>")
        source.expect(END.decode())
    except (Damaged, ValueError, OverflowError, IndexError, struct.error) as error:
        reason = str(error) if isinstance(error, Damaged) else "it ends too early or holds something else"
        raise InputError(f"{path}: not a Kaldi model with a transition model, or damaged: {reason}") from error
    return model


def read_model_phones(path: str | Path, model: TransitionModel) -> dict[int, str]:
    """Read `phones.txt` and check that it is the model's.

    Returns:
        Phone id → symbol, as written there.

    Raises:
        InputError: the table lacks a phone of the model, or has phones that the model doesn't.
    """
    phones = read_symbols(path)
    # <eps> and the disambiguation symbols (#0, ...) are no phones.
    named = {index for index, symbol in phones.items() if index != 0 and not symbol.startswith("#")}
    advice = f"take the phones.txt that {model.path} was trained with"
    for index in model.phone_ids:
        if index not in named:
            raise InputError(f"{path}: has no phone {index}, which {model.path} has: it doesn't match; {advice}")
    extra = sorted(named.difference(model.phone_ids))
    if extra:
        raise InputError(f"{path}: phone '{phones[extra[0]]}' ({extra[0]}) isn't in {model.path}: no match; {advice}")
    return phones


def _number_transitions(path: Path, topology: dict[int, Topology], tuples: np.ndarray) -> TransitionModel:
    """Give each arc of each transition state its number.

    Args:
        path: the model's file.
        topology: phone → its HMM states.
        tuples: int32 (transition states, 3 or 4): phone, HMM state, pdf, and where there is one the self-loop's pdf.
    """
    rows = [(0, 0, 0, -1, NO_PDF, False, False)]
    for state, (phone, hmm_state, pdf, *loop_pdf) in enumerate(tuples.tolist(), 1):
        states = topology.get(phone)
        if states is None or not 0 <= hmm_state < len(states) or not states[hmm_state]:
            raise Damaged(
                f"transition state {state} is HMM state {hmm_state} of phone {phone}, which has no such state"
            )
        for destination in states[hmm_state]:
            if not 0 <= destination < len(states):
                raise Damaged(f"an arc of phone {phone} enters state {destination} of {len(states)}")
            loop = destination == hmm_state
            emitting = loop_pdf[0] if loop and loop_pdf else pdf
            final = destination == len(states) - 1
            rows.append((phone, state, hmm_state, destination, emitting, loop, final))
    phones, states, hmm_states, destinations, pdfs, loops, finals = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return TransitionModel(
        path=path,
        phones=phones.astype(np.int32),
        states=states.astype(np.int32),
        hmm_states=hmm_states.astype(np.int32),
        destinations=destinations.astype(np.int32),
        pdfs=pdfs.astype(np.int32),
        self_loops=loops,
        finals=finals,
        phone_ids=tuple(sorted(topology)),
    )


class _Binary:
    """A binary model file, read from its start.

    Args:
        content: the file's bytes.
    """

    def __init__(self, content: bytes):
        self.content = content
        self.position = len(BINARY)

    def token(self) -> str:
        end = self.content.index(b" ", self.position, self.position + 100)
        token = self.content[self.position : end].decode("ascii")
        self.position = end + 1
        return token

    def expect(self, token: str) -> None:
        found = self.token()
        if found != token:
            raise Damaged(f"'{found}' where {token} should be")

    def integer(self) -> int:
        return int(self.integers(1)[0])

    def integers(self, count: int) -> np.ndarray:
        """Read integers that were written one by one."""
        if count < 0:
            raise Damaged(f"a list of {count} numbers")
        values = np.frombuffer(self.content, INTEGER, count, self.position)
        if (values["size"] != 4).any():
            raise Damaged("something else where 4-byte integers should be")
        self.position += values.nbytes
        return values["value"].astype(np.int32)

    def integer_vector(self) -> np.ndarray:
        """Read integers that were written as a block."""
        size, count = struct.unpack_from("<bi", self.content, self.position)
        if size != 4 or count < 0:
            raise Damaged("something else where a vector of integers should be")
        values = np.frombuffer(self.content, "<i4", count, self.position + 5)
        self.position += 5 + values.nbytes
        return values

    def topology(self) -> dict[int, Topology]:
        self.expect("<Topology>")
        phones = self.integer_vector()
        entry_of = self.integer_vector()
        entries = self.integer()
        # -1 says that self-loops have pdf classes of their own; the number of entries follows.
        two_classes = entries == -1
        if two_classes:
            entries = self.integer()
        table = [[self._state(two_classes) for _ in range(self.integer())] for _ in range(entries)]
        self.expect("</Topology>")
        if any(not 0 <= entry_of[phone] < entries for phone in phones):
            raise Damaged("a phone without a topology")
        return {int(phone): table[entry_of[phone]] for phone in phones}

    def _state(self, two_classes: bool) -> tuple[int, ...]:
        self.integers(2 if two_classes else 1)  # pdf classes, which the tuples make superfluous
        destinations = []
        for _ in range(self.integer()):
            destinations.append(self.integer())
            size = self.content[self.position]
            if size not in (4, 8):
                raise Damaged("something else where a transition probability should be")
            self.position += 1 + size
        return tuple(destinations)

    def vector_size(self) -> int:
        """Pass over a vector of floats or doubles; give its size."""
        kind = self.token()
        if kind not in ("FV", "DV"):
            raise Damaged(f"'{kind}' where a vector should be")
        size = self.integer()
        self.position += size * (4 if kind == "FV" else 8)
        if self.position > len(self.content):
            raise Damaged("it ends too early")
        return size


class _Text:
    """A text model file, read from its start.

    Args:
        content: the file's bytes.
    """

    def __init__(self, content: bytes):
        end = content.find(END)
        if end < 0:
            raise Damaged(f"no {END.decode()} in it")
        self.words = content[: end + len(END)].decode("ascii").split()
        self.position = 0

    def token(self) -> str:
        self.position += 1
        return self.words[self.position - 1]

    def expect(self, token: str) -> None:
        found = self.token()
        if found != token:
            raise Damaged(f"'{found[:40]}' where {token} should be")

    def integer(self) -> int:
        return int(self.token())

    def integers(self, count: int) -> np.ndarray:
        words = self.words[self.position : self.position + count]
        if len(words) < count:
            raise Damaged("it ends too early")
        self.position += count
        return np.array(words, dtype=np.int32)

    def topology(self) -> dict[int, Topology]:
        self.expect("<Topology>")
        table: dict[int, Topology] = {}
        while (token := self.token()) == "<TopologyEntry>":
            self.expect("<ForPhones>")
            phones = []
            while (word := self.token()) != "</ForPhones>":
                phones.append(int(word))
            states = []
            while (word := self.token()) == "<State>":
                states.append(self._state(len(states)))
            if word != "</TopologyEntry>":
                raise Damaged(f"'{word}' where </TopologyEntry> should be")
            table.update(dict.fromkeys(phones, states))
        if token != "</Topology>":
            raise Damaged(f"'{token}' where </Topology> should be")
        return table

    def _state(self, expected: int) -> tuple[int, ...]:
        if self.integer() != expected:
            raise Damaged(f"the states of a topology don't count up at state {expected}")
        destinations = []
        while (word := self.token()) != "</State>":
            if word in ("<PdfClass>", "<ForwardPdfClass>", "<SelfLoopPdfClass>"):
                self.integer()
            elif word == "<Transition>":
                destinations.append(self.integer())
                float(self.token())
            else:
                raise Damaged(f"'{word}' in a state of the topology")
        return tuple(destinations)

    def vector_size(self) -> int:
        self.expect("[")
        start = self.position
        self.position = self.words.index("]", start) + 1
        return self.position - 1 - start
