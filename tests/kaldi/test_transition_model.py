"""The transition model: every id means what Kaldi says, and no damaged file gets through."""

import contextlib
import dataclasses
import gzip

import numpy as np
import pytest

from vqbn.errors import InputError
from vqbn.kaldi.transition_model import read_model_phones, read_transition_model

ARRAYS = ("phones", "states", "hmm_states", "destinations", "pdfs", "self_loops", "finals")


@pytest.fixture
def write(tmp_path):
    """Write bytes or text to a model file and read it."""

    def read(content):
        path = tmp_path / "final.mdl"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_transition_model(path)

    return read


def test_ids_count_over_states_and_their_arcs(write, tiny_kaldi):
    model = write(tiny_kaldi.TEXT)
    assert len(model) == 13
    np.testing.assert_array_equal(model.phones[1:], [1] * 5 + [2] * 4 + [3] * 4)
    np.testing.assert_array_equal(model.states[1:], [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6])
    np.testing.assert_array_equal(model.hmm_states[1:], [0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(model.destinations[1:], [0, 1, 2, 1, 2, 0, 1, 1, 2, 0, 1, 1, 2])
    np.testing.assert_array_equal(model.pdfs[1:], model.states[1:] - 1)
    np.testing.assert_array_equal(np.flatnonzero(model.self_loops), [1, 4, 6, 8, 10, 12])
    np.testing.assert_array_equal(np.flatnonzero(model.finals), [3, 5, 9, 13])
    assert model.phone_ids == (1, 2, 3)


def test_binary_equals_text(write, tiny_kaldi):
    text, binary = write(tiny_kaldi.TEXT), write(tiny_kaldi.binary_model())
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(binary, name), getattr(text, name))
        assert getattr(binary, name).dtype == getattr(text, name).dtype
    assert dataclasses.replace(binary, **dict.fromkeys(ARRAYS)) == dataclasses.replace(text, **dict.fromkeys(ARRAYS))


def test_tuples_give_self_loops_a_pdf_of_their_own(write):
    model = write(
        "<TransitionModel> <Topology> <TopologyEntry> <ForPhones> 1 </ForPhones> "
        "<State> 0 <ForwardPdfClass> 0 <SelfLoopPdfClass> 1 <Transition> 0 0.5 <Transition> 1 0.5 </State> "
        "<State> 1 </State> </TopologyEntry> </Topology> "
        "<Tuples> 2 1 0 7 8 1 0 9 10 </Tuples> <LogProbs> [ 0 -1 -1 -1 -1 ] </LogProbs> </TransitionModel>"
    )
    np.testing.assert_array_equal(model.pdfs[1:], [8, 7, 10, 9])
    np.testing.assert_array_equal(model.finals[1:], [False, True, False, True])


def test_every_cut_of_a_binary_model_is_refused(write, tiny_kaldi):
    content = tiny_kaldi.binary_model()
    end = content.index(b"</TransitionModel> ") + len(b"</TransitionModel> ")
    for length in range(end):
        with pytest.raises(InputError, match=r"final\.mdl: not a Kaldi model .*or damaged"):
            write(content[:length])
    write(content[:end])


def test_every_missing_word_of_a_text_model_is_refused(write, tiny_kaldi):
    words = tiny_kaldi.TEXT.partition("<DIMENSION>")[0].split()
    for number in range(len(words)):
        with pytest.raises(InputError):
            write(" ".join(words[:number] + words[number + 1 :]))


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_are_refused_or_read_but_never_crash(write, tiny_kaldi, seed):
    rng = np.random.default_rng(seed)
    original = tiny_kaldi.binary_model() if seed else tiny_kaldi.TEXT.encode()
    for _ in range(300):
        content = bytearray(original)
        content[rng.integers(2, len(content))] = rng.integers(256)
        with contextlib.suppress(InputError):
            write(bytes(content))


@pytest.mark.parametrize("content", [b"", b"\0B", b"\0BContextDependency ", b"hello\n", b"\xff" * 100])
def test_foreign_files_are_refused(write, content):
    with pytest.raises(InputError, match=r"final\.mdl: not a Kaldi model"):
        write(content)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"final\.mdl: can't be read: No such file"):
        read_transition_model(tmp_path / "final.mdl")


def test_phones_must_be_the_models(write, tiny_kaldi, tmp_path):
    model = write(tiny_kaldi.TEXT)
    table = tmp_path / "phones.txt"
    table.write_text(tiny_kaldi.PHONES)
    assert read_model_phones(table, model)[2] == "AH0_I"
    table.write_text("<eps> 0\nSIL 1\nAH0_I 2\n#0 3\n")
    with pytest.raises(InputError, match=r"phones\.txt: has no phone 3, which .*final\.mdl has"):
        read_model_phones(table, model)
    table.write_text("<eps> 0\nSIL 1\nAH0_I 2\nT_E 3\nD_E 4\n")
    with pytest.raises(InputError, match=r"phone 'D_E' \(4\) isn't in .*final\.mdl"):
        read_model_phones(table, model)


def test_real_model_binary_equals_kaldis_text(real_data, tmp_path):
    kaldi = real_data / "speechocean762/kaldi"
    (tmp_path / "text.mdl").write_bytes(
        gzip.decompress((kaldi / "expected/model/transition_model.txt.gz").read_bytes())
    )
    binary = read_transition_model(kaldi / "exp/tri3b_ali_train/final.mdl")
    text = read_transition_model(tmp_path / "text.mdl")
    assert len(binary) == 10488
    assert binary.states[-1] == 5204
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(binary, name), getattr(text, name))
    shown = gzip.decompress((kaldi / "expected/model/show_transitions.txt.gz").read_bytes()).decode()
    loops = [line.endswith("[self-loop]") for line in shown.splitlines() if line.startswith(" Transition-id")]
    np.testing.assert_array_equal(binary.self_loops[1:], loops)
