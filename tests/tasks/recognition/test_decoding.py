import errno
import json
from types import SimpleNamespace

import kaldiio
import numpy as np
import pytest
import torch

from vqbn.errors import InputError
from vqbn.kaldi.tokens import Tokens
from vqbn.tasks.recognition.data import Batch
from vqbn.tasks.recognition.decoding import Decoded, decode, read_decoded, write_decoded

TOKENS = Tokens(["<blank>", "AA", "S", "SIL"])
ABOUT = {"set": "dev", "checkpoint": "best", "update": 5, "subsampling": 3, "frame_shift": 0.01, "averaged": True}


def batch(paths, targets):
    """Features that spell what the fake model is to hear, padded with 1."""
    lengths = torch.tensor([len(path) for path in paths])
    features = torch.ones(len(paths), int(lengths.max()), 1, 1)
    for row, path in zip(features, paths, strict=True):
        row[: len(path), 0, 0] = torch.tensor(path)
    target_lengths = torch.tensor([len(t) for t in targets])
    padded = torch.zeros(len(targets), int(target_lengths.max()), dtype=torch.int64)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = torch.tensor(target)
    return Batch(features, lengths, padded, target_lengths)


def fake_model(indices):
    def model(features, lengths):
        heard = features[:, :, 0, 0].long()
        return SimpleNamespace(
            log_probs=torch.nn.functional.one_hot(heard, len(TOKENS)).float(),
            lengths=lengths,
            indices=indices(heard),
        )

    return model


def made(codes=True, books=1):
    about = {**ABOUT, "codebook_size": 9, "num_codebooks": books} if codes else ABOUT
    arrays = {"u1": np.arange(4 * books, dtype=np.int32).reshape(-1, books), "u2": np.full((2, books), 8, np.int32)}
    return Decoded({"u1": ["AA"], "u2": []}, {"u1": ["AA", "S"], "u2": ["SIL"]}, arrays if codes else {}, about)


def test_what_the_model_says_comes_out_by_utterance():
    batches = [
        (["u2", "u1"], batch([[0.0, 2, 2, 0, 2], [1.0, 3]], [[2, 2], [1]])),
        (["u0"], batch([[0.0, 0]], [[3]])),
    ]
    decoded = decode(fake_model(lambda heard: heard[..., None] + 4), batches, TOKENS)
    assert decoded.hypotheses == {"u0": [], "u1": ["AA", "SIL"], "u2": ["S", "S"]}
    assert decoded.references == {"u0": ["SIL"], "u1": ["AA"], "u2": ["S", "S"]}
    assert list(decoded.references) == ["u0", "u1", "u2"]
    # The padding's code, 5, is not among u1's.
    assert {u: c.tolist() for u, c in decoded.codes.items()} == {
        "u0": [[4], [4]],
        "u1": [[5], [7]],
        "u2": [[4], [6], [6], [4], [6]],
    }
    assert decoded.codes["u1"].dtype == np.int32


@pytest.mark.parametrize("indices", [lambda heard: None, lambda heard: torch.full((*heard.shape, 1), -1)])
def test_a_model_that_does_not_quantise_has_no_codes(indices):
    decoded = decode(fake_model(indices), [(["u"], batch([[1.0]], [[1]]))], TOKENS)
    assert decoded.codes == {}
    assert decoded.hypotheses == {"u": ["AA"]}


@pytest.mark.parametrize("books", [1, 3])
def test_what_was_written_is_read(tmp_path, books):
    write_decoded(tmp_path / "decode_dev", made(books=books))
    read = read_decoded(tmp_path / "decode_dev")
    expected = made(books=books)
    assert (read.hypotheses, read.references, read.about) == (expected.hypotheses, expected.references, expected.about)
    for utterance, codes in expected.codes.items():
        np.testing.assert_array_equal(read.codes[utterance], codes)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        "codes.ark", "codes.scp", "decode.json", "decode_dev", "hyp.trn", "ref.trn"
    ]  # fmt: skip


def test_the_archive_is_kaldis_and_rows_hold_the_codebooks(tmp_path):
    write_decoded(tmp_path / "d", made(books=2))
    vector = kaldiio.load_scp(str(tmp_path / "d/codes.scp"))["u1"]
    assert vector.dtype == np.int32
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_decoding_again_replaces_everything(tmp_path):
    write_decoded(tmp_path, made())
    (tmp_path / "details.json").write_text("{}")
    write_decoded(tmp_path, made(codes=False))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["decode.json", "hyp.trn", "ref.trn"]
    assert read_decoded(tmp_path).codes == {}


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    write_decoded(tmp_path, made())
    (tmp_path / "notes.txt").write_text("mine")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"notes\.txt"):
        write_decoded(tmp_path, made(codes=False))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_full_disk_leaves_the_older_decoding(tmp_path, monkeypatch):
    folder = tmp_path / "decode_dev"
    write_decoded(folder, made())

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "decode.json")

    monkeypatch.setattr("vqbn.runs.decoding.write_record", full)
    with pytest.raises(OSError, match="No space"):
        write_decoded(folder, made(codes=False))
    assert read_decoded(folder).codes.keys() == {"u1", "u2"}
    assert [p.name for p in tmp_path.iterdir()] == ["decode_dev"]


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d / "decode.json").unlink(), r"decode\.json: can't be read: .*; decode the set first"),
        (lambda d: (d / "decode.json").write_text("{"), r"decode\.json: not JSON"),
        (lambda d: (d / "decode.json").write_text("[]"), r"decode\.json: found list"),
        (lambda d: change(d / "decode.json", update="5"), r"decode\.json: key 'update': found '5', expected int"),
        (lambda d: change(d / "decode.json", num_codebooks=True), r"key 'num_codebooks': found True, expected int"),
        (lambda d: change(d / "decode.json", num_codebooks=3), r"codes\.scp: 'u1' is not a vector of .* 3 per latent"),
        (lambda d: (d / "codes.scp").write_text((d / "codes.scp").read_text().split("\n")[0] + "\n"), r"'u2' is not"),
        (lambda d: (d / "codes.ark").unlink(), r"codes\.scp:1: points to .*codes\.ark"),
        (lambda d: (d / "codes.ark").write_bytes(b""), r"'u1'"),
        (lambda d: (d / "hyp.trn").write_text("AA u1\n"), r"hyp\.trn:1: "),
    ],
)
def test_damage_is_named(tmp_path, spoil, message):
    write_decoded(tmp_path, made())
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        read_decoded(tmp_path)
    assert "\n" not in str(error.value)
