"""Fixtures for the whole suite."""

import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora that VQBN_TEST_DATA names; tests that need it skip without it."""
    folder = os.environ.get("VQBN_TEST_DATA")
    if not folder:
        pytest.skip("VQBN_TEST_DATA does not name a folder with the real test data")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def tiny_kaldi() -> ModuleType:
    """The module tests/kaldi/tiny_model.py: a made-up transition model, and writers of alignments for it."""
    return load_module("kaldi/tiny_model.py")


@pytest.fixture(scope="session")
def sphere_files() -> ModuleType:
    """The module tests/kaldi/sphere_files.py: writers of NIST SPHERE files, with a shorten encoder."""
    return load_module("kaldi/sphere_files.py")


@pytest.fixture(scope="session")
def wsj_tree() -> ModuleType:
    """The module tests/corpora/wsj_tree.py: made-up discs of WSJ0 and WSJ1, in every layout."""
    return load_module("corpora/wsj_tree.py")


def load_module(path: str) -> ModuleType:
    """A module in this folder that is no test."""
    file = Path(__file__).parent / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def speech_dump(tmp_path_factory) -> Path:
    """What stage 2 leaves, for synthetic speech that a model can learn in a few dozen updates.

    Sets train (24 utterances) and dev (6): four phones, each a bump at its own place in the spectrum, 20 mel bins and
    energy. Read-only: tests that damage it copy it first.
    """
    import numpy as np

    from vqbn.kaldi.archive import write_archive
    from vqbn.kaldi.cmvn import accumulate, write_cmvn
    from vqbn.kaldi.deltas import add_deltas
    from vqbn.kaldi.tokens import Tokens

    folder = tmp_path_factory.mktemp("dump")
    rng = np.random.default_rng(0)
    tokens = Tokens(["<blank>", "AA", "IY", "S", "SIL"])
    tokens.write(folder / "tokens.txt")
    bins = np.arange(21)
    shapes = np.stack([3 * np.exp(-((bins - 5 * token) ** 2) / 8) for token in range(len(tokens))])
    for name, count in (("train", 24), ("dev", 6)):
        features, phones = {}, {}
        for number in range(count):
            pairs = np.stack([rng.integers(1, 5, 9), rng.integers(6, 14, 9)], axis=1).astype(np.int32)
            means = np.repeat(shapes[pairs[:, 0]], pairs[:, 1], axis=0)
            features[f"{name}-{number:02d}"] = (means + rng.normal(0, 0.3, means.shape)).astype(np.float32)
            phones[f"{name}-{number:02d}"] = pairs.ravel()
        write_archive(folder / name, "feats", features)
        write_archive(folder / name, "phones", phones)
        lines = {utt: (f"{utt} speaker{utt[-1]}\n", f"{utt} {len(x)}\n") for utt, x in features.items()}
        (folder / name / "utt2spk").write_text("".join(line for line, _ in lines.values()))
        (folder / name / "utt2num_frames").write_text("".join(line for _, line in lines.values()))
        if name == "train":
            write_cmvn(folder / "cmvn.ark", accumulate(add_deltas(x) for x in features.values()))
    return folder


@pytest.fixture(scope="session")
def line_dump(tmp_path_factory) -> Path:
    """What stage 2 leaves of handwriting: vertical strokes.

    Sets train (6 lines), dev (3) and test (3): each `a` is three columns of ink, each `b` five of a lighter one, each
    blank five of paper; aligned and transcribed. Read-only.
    """
    import numpy as np

    from vqbn.corpora.alphabet import Alphabet
    from vqbn.corpora.line_corpus import Line
    from vqbn.corpora.packed_lines import write_packed

    folder = tmp_path_factory.mktemp("line_dump")
    rng = np.random.default_rng(0)
    alphabet = Alphabet.of(["a b"])
    for name, count in (("train", 6), ("dev", 3), ("test", 3)):
        lines, images, labels = [], [], []
        for number in range(count):
            text = "".join(rng.choice(list("ab "), rng.integers(4, 14)))
            columns = [(letter, 3 if letter == "a" else 5) for letter in text]
            image = np.full((sum(width for _, width in columns), 32), 3, dtype=np.uint8)
            label = np.repeat(alphabet.encode(text, ""), [width for _, width in columns]).astype(np.int16)
            image[label == alphabet.index["a"], 8:20] = 0
            image[label == alphabet.index["b"], 16:28] = 1
            lines.append(Line(f"nl/x/{name}/line{number}", "", "x", f"x/{name}", " ".join(text.split()) or "a"))
            images.append(image)
            labels.append(label)
        (folder / name).mkdir()
        write_packed(folder / name, lines, images, labels)
    alphabet.write(folder / "alphabet.json")
    (folder / "info.json").write_text(json.dumps({"height": 32, "grey_levels": 4}))
    return folder


# Fifteen chunks of 32 frames in an epoch: it is left in the middle again and again.
TINY = {
    "conv_channels": 4,
    "lstm_layers": 1,
    "lstm_size": 8,
    "vq_codebook_size": 8,
    "vq_code_dim": 8,
    "vq_normalization": "batch",
    "vq_reservoir_size": 150,
    "reestimation": "true",
    "reestimation_start": 7,
    "reestimation_every": 6,
    "reestimation_until": 36,
    "codebook_learning_rate": 0.02,
    "learning_rate": 0.01,
    "batch_size": 5,
    "chunk_frames": 32,
    "max_updates": 40,
    "lr_milestones": [20, 30],
    "polyak_decay": 0.9,
    "validate_every": 10,
    "checkpoint_every": 4,
    "log_every": 20,
}


@pytest.fixture(scope="session")
def tiny_options(speech_dump):
    """A function from changed keys to the options of vqbn-train, without --expdir."""

    def options(**changes):
        argv = ["--task", "recognition", "--dump", str(speech_dump)]
        for key, value in (TINY | changes).items():
            argv += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
        return argv

    return options


@pytest.fixture(scope="session")
def trained_run(tiny_options, tmp_path_factory) -> Path:
    """The folder of a finished run; read-only."""
    from vqbn.bin.train import main

    folder = tmp_path_factory.mktemp("exp") / "tiny_seed1"
    assert main([*tiny_options(), "--expdir", str(folder)]) == 0
    return folder


@pytest.fixture
def run_copy(trained_run, tmp_path) -> Path:
    """A copy of that folder, free to damage."""
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"
