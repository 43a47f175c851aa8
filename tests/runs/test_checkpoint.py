import shutil

import pytest
import torch

from vqbn.errors import InputError
from vqbn.runs.checkpoint import FORMAT, load_run, read_checkpoint
from vqbn.tasks.recognition.task import RECOGNITION
from vqbn.version import __version__


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_loaded_model_decodes_with_the_averaged_weights_and_the_live_codebook(trained_run, which):
    averaged, live = (
        load_run(RECOGNITION, trained_run, which),
        load_run(RECOGNITION, trained_run, which, averaged=False),
    )
    assert (averaged.averaged, live.averaged) == (True, False)
    assert averaged.about["tokens"] == ["<blank>", "AA", "IY", "S", "SIL"]
    assert averaged.config["vq_codebook_size"] == 8
    assert not torch.equal(averaged.model.head.weight, live.model.head.weight)
    assert torch.equal(averaged.model.bottleneck.codebook, live.model.bottleneck.codebook)
    assert not averaged.model.training
    for loaded in (averaged, live):
        output = loaded.model(torch.randn(2, 30, 21, 3), torch.tensor([30, 20]))
        assert output.log_probs.shape == (2, 10, 5)
        assert output.lengths.tolist() == [10, 7]
        # The clock came along: an averaged copy that kept the set-up's would still be before the first clustering.
        assert (output.indices[0] >= 0).all()


def test_the_last_checkpoint_is_the_last_update(trained_run):
    assert load_run(RECOGNITION, trained_run, "last").update == 40


def test_the_reservoir_is_stored_once(trained_run):
    checkpoint = read_checkpoint(trained_run / "checkpoints" / "last.ckpt")
    name = "model.bottleneck._extra_state"
    states = [checkpoint[part][name] for part in ("state_dict", "current_model_state")]
    assert states[0].untyped_storage().data_ptr() == states[1].untyped_storage().data_ptr()


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match=r"best.ckpt: no such checkpoint; .*stage 3"):
        load_run(RECOGNITION, tmp_path)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "foreign", "pickle"])
def test_a_damaged_or_foreign_checkpoint_is_named(run_copy, damage):
    path = run_copy / "checkpoints" / "best.ckpt"
    contents = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(contents[: len(contents) // 2])
        case "text":
            path.write_text("not a checkpoint")
        case "empty":
            path.write_bytes(b"")
        case "foreign":
            torch.save({"state_dict": {}}, path)
        case "pickle":
            torch.save({"recognizer": shutil.rmtree}, path)
    with pytest.raises(InputError, match=r"best\.ckpt") as raised:
        load_run(RECOGNITION, run_copy)
    assert "\n" not in str(raised.value)


def test_weights_of_another_model_are_refused(run_copy):
    path = run_copy / "checkpoints" / "best.ckpt"
    checkpoint = read_checkpoint(path)
    checkpoint["recognizer"]["config"]["lstm_size"] = 9
    torch.save(checkpoint, path)
    with pytest.raises(InputError, match=r"best\.ckpt: does not fit the model that it describes"):
        load_run(RECOGNITION, run_copy)


def test_a_checkpoint_says_its_format_and_a_newer_one_is_refused(run_copy, capsys, tiny_options):
    from vqbn.bin.train import main

    path = run_copy / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["vqbn_format"] == FORMAT == 1
    assert checkpoint["vqbn_version"] == __version__
    del checkpoint["vqbn_format"], checkpoint["vqbn_version"]
    torch.save(checkpoint, path)
    assert load_run(RECOGNITION, run_copy, "last").update == 40, "one from before there were formats"
    torch.save(checkpoint | {"vqbn_format": 2, "vqbn_version": "0.9"}, path)
    with pytest.raises(InputError, match=rf"last\.ckpt: format 2, written by vqbn 0\.9.*up to {FORMAT}: update vqbn"):
        load_run(RECOGNITION, run_copy, "last")
    assert main([*tiny_options(max_updates=41), "--expdir", str(run_copy)]) == 1
    assert "update vqbn" in capsys.readouterr().err
