import os
import pickle
import pickletools

import numpy as np
import pytest

from vqbn.corpora.safe_pickle import ForeignPickleError, load_arrays


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_values_and_arrays_come_back(protocol):
    value = {b"data": np.arange(12, dtype=np.uint8).reshape(3, 4), b"labels": [0, 9], "name": "text", "none": None}
    loaded = load_arrays(pickle.dumps(value, protocol))
    np.testing.assert_array_equal(loaded[b"data"], value[b"data"])
    assert {key: loaded[key] for key in (b"labels", "name", "none")} == {
        b"labels": [0, 9],
        "name": "text",
        "none": None,
    }


class Runs:
    """Whose pickle makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_code_is_refused_and_runs_none(tmp_path, protocol):
    content = pickle.dumps({"data": Runs(tmp_path / "made")}, protocol)
    with pytest.raises(ForeignPickleError, match="mkdir"):
        load_arrays(content)
    assert not (tmp_path / "made").exists()
    pickle.loads(content)
    assert (tmp_path / "made").exists(), "the pickle would have run"


@pytest.mark.parametrize(
    "name", ["builtins eval", "numpy load", "numpy.core.multiarray fromfile", "numpy.lib.npyio load"]
)
def test_other_functions_are_refused(name):
    with pytest.raises(ForeignPickleError, match=name.split()[1]):
        load_arrays(b"c" + name.replace(" ", "\n").encode() + b"\n.")


def test_a_cut_pickle_is_said_to_be_damaged():
    content = pickle.dumps({"data": np.zeros((20, 30))}, 2)
    ends = [position for _, _, position in pickletools.genops(content)]
    for end in [0, 1, *ends[1:], len(content) - 1]:
        with pytest.raises(ValueError):
            load_arrays(content[:end])
