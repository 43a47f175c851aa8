"""Nothing that ESPnet reads in our commands runs code."""

import os

import kaldiio
import numpy as np
import pytest
import torch

from vqbn.errors import InputError

pytestmark = pytest.mark.usefixtures("espnet")


class Runs:
    """Whose pickle makes a folder when it is loaded."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def kaldi_ark(tmp_path, monkeypatch):
    """What ESPnet makes of an scp of its type `kaldi_ark`, in a process that has our task."""
    import vqbn.espnet2.task  # noqa: F401

    def read(key, value, **style):
        from espnet2.train.dataset import DATA_TYPES

        kaldiio.save_ark(str(tmp_path / "x.ark"), {key: value}, scp=str(tmp_path / "x.scp"), **style)
        return DATA_TYPES["kaldi_ark"]["func"](str(tmp_path / "x.scp"))[key]

    return read


def test_an_archive_with_a_pickle_is_refused_in_training_and_decoding(kaldi_ark, tmp_path):
    from espnet2.train.iterable_dataset import load_kaldi

    with pytest.raises(InputError, match=r"x\.ark: has a pickle \(PKL\)"):
        kaldi_ark("u", Runs(tmp_path / "made"), write_function="pickle")
    with pytest.raises(InputError, match=r"x\.ark: has a pickle \(PKL\)"):
        load_kaldi((tmp_path / "x.scp").read_text().split()[1])
    assert not (tmp_path / "made").exists()


def test_matrices_and_audio_are_read_as_before(kaldi_ark):
    np.testing.assert_array_equal(kaldi_ark("u", np.eye(3, dtype=np.float32)), np.eye(3))
    audio = kaldi_ark("u", (16000, np.arange(99, dtype=np.int16)), write_function="soundfile")
    assert len(audio) == 99


def test_a_checkpoint_to_resume_and_initial_weights_that_run_code_are_refused(
    espnet_run, tiny_espnet, tmp_path, capsys
):
    from vqbn.bin.espnet_asr_train import main
    from vqbn.espnet2.safe import check_states
    from vqbn.espnet2.trainer import VQTrainer

    check_states(espnet_run / "checkpoint.pth")
    torch.save({"model": Runs(tmp_path / "made")}, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match=r"checkpoint\.pth: .*could run code.*; nothing of it was run"):
        VQTrainer.resume(tmp_path / "checkpoint.pth", None, None, None, None, None)
    options = tiny_espnet(tmp_path / "run", "--init_param", f"{tmp_path / 'checkpoint.pth'}:encoder:encoder")
    assert main(options) == 1
    assert "could run code" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
