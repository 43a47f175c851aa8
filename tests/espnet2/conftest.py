"""A tiny training in ESPnet; its tests are skipped where ESPnet is not installed."""

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

# Five updates an epoch, clustered before the fourth and the ninth.
TINY = {
    "encoder": "vqbn_deepspeech2",
    "encoder_conf": {
        "conv_channels": 4,
        "lstm_layers": 1,
        "lstm_size": 8,
        "code_dim": 8,
        "bottleneck_conf": {
            "codebook_size": 8,
            "normalization": "batch",
            "reservoir_size": 150,
            "reestimation": {"start": 4, "until": 9, "every": 5},
        },
    },
    "model": "vqbn",
    "model_conf": {"ctc_weight": 1.0, "vq_weight": 9.0},
    "normalize": None,
    "optim": "adam",
    "optim_conf": {"lr": 0.01},
    "codebook_lr": 0.02,
    "scheduler": "multisteplr",
    "scheduler_conf": {"milestones": [1]},
    "max_epoch": 2,
    "num_iters_per_epoch": 5,
    "batch_type": "unsorted",
    "batch_size": 6,
    "valid_batch_size": 3,
    "num_workers": 0,
    "keep_nbest_models": 1,
    "best_model_criterion": [["valid", "vq_cer_ctc", "min"]],
    "use_tensorboard": False,
    "use_matplotlib": False,
}


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """ESPnet's commands set up logging for good, to a stream that ends with the test."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in root.handlers[:]:
        # Pytest's own are of a class below it.
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)


@pytest.fixture(scope="session")
def espnet() -> None:
    """Skips where ESPnet is not installed."""
    if find_spec("espnet2") is None:
        pytest.skip("ESPnet is not installed (tools/setup.sh --extras recipes,test,espnet)")


@pytest.fixture(scope="session")
def espnet_data(speech_dump, tmp_path_factory) -> Path:
    """Sets train and dev of the made-up speech as ESPnet reads them, with tokens.txt."""
    from vqbn.bin.espnet_data import main

    folder = tmp_path_factory.mktemp("espnet") / "phn"
    sets = ["--set", "train", "--set", "dev", "--chunk_set", "train", "--updates", "3", "--batch_size", "4"]
    assert main(["--dump", str(speech_dump), *sets, "--chunk_frames", "32", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def tiny_espnet(espnet_data, speech_dump, tmp_path_factory):
    """A function from an output folder, changed keys and more options to the options of vqbn-espnet-asr-train."""
    configs = tmp_path_factory.mktemp("configs")

    def options(output_dir: Path, *more: str, **changes: object) -> list[str]:
        path = configs / f"{len(list(configs.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump(TINY | changes))
        argv = ["--config", str(path), "--output_dir", str(output_dir), "--input_size", "21", "--seed", "1"]
        argv += ["--token_type", "phn", "--token_list", str(espnet_data / "tokens.txt")]
        if changes.get("encoder", TINY["encoder"]) == TINY["encoder"]:
            argv += ["--encoder_conf", f"cmvn={speech_dump / 'cmvn.ark'}"]
        for phase, name in (("train", "train"), ("valid", "dev")):
            argv += [f"--{phase}_shape_file", str(espnet_data / name / "feats.scp")]
            for file in ("feats.scp,speech,kaldi_ark", "text,text,text"):
                argv += [f"--{phase}_data_path_and_name_and_type", str(espnet_data / name / file)]
        return [*argv, *more]

    return options


@pytest.fixture(scope="session")
def espnet_run(espnet, tiny_espnet, tmp_path_factory) -> Path:
    """The folder of a finished training of two epochs; read-only."""
    from vqbn.bin.espnet_asr_train import main

    folder = tmp_path_factory.mktemp("espnet_exp") / "run"
    assert main(tiny_espnet(folder)) == 0
    return folder
