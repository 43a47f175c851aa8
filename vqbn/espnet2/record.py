"""What trained an ESPnet run, and a finished one as a results file of our recipes."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import yaml

from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.metrics.evaluation import Evaluation
from vqbn.runs.config import records, yaml_value
from vqbn.runs.results import Result

RECORD = "vqbn.yaml"
# The keys of ESPnet's config.yaml that a result depends on, besides its data.
DECISIVE = ("seed", "token_type", "encoder", "encoder_conf", "decoder", "decoder_conf", "model", "model_conf")
DECISIVE += ("normalize", "specaug", "specaug_conf", "optim", "optim_conf", "codebook_lr", "scheduler")
DECISIVE += ("scheduler_conf", "batch_type", "batch_size", "batch_bins", "accum_grad", "grad_clip")
DECISIVE += ("num_iters_per_epoch", "max_epoch", "use_amp", "best_model_criterion")
# What the numbers of ESPnet's reporter are, besides Python's own.
REPORTED = [timedelta, np.dtype, np.float64(0).__reduce__()[0]]
REPORTED += [type(np.dtype(name)) for name in ("float32", "float64", "int64")]
TRAIN_AGAIN = "train the run again (stage 3)"


def write_record(output_dir: str | Path) -> None:
    """Write what computes (versions, and the git commit) into a run's folder, unless it was begun before.

    Raises:
        OSError: it can't be written.
    """
    path = Path(output_dir) / RECORD
    if not path.exists():
        found = records() | {"espnet_version": version("espnet")}
        write_text(path, "".join(f"{name}: {yaml_value(value)}\n" for name, value in found.items()))


def finished_run(
    run: str | Path, criterion: str, name: str, evaluations: Mapping[str, Evaluation], data: str, command: str
) -> Result:
    """A decoded and scored run as a `Result`.

    Perplexity and codes used are those that ESPnet's reporter has of the decoded epoch, over the first set, which
    ESPnet evaluated on.

    Args:
        run: `--output_dir` of its training.
        criterion: what the decoded epoch is the best by, such as `vq_cer_ctc`.
        name: of the result: the variant, then what tells the run from our own recipe's, as in `none-espnet2`.
        evaluations: set → its errors, the development set first.
        data: what it was trained and scored on, in words.
        command: the command line that trained it.

    Raises:
        InputError: a file of the run is missing or malformed.
    """
    run = Path(run)
    config, record = read_yaml(run / "config.yaml"), read_yaml(run / RECORD)
    epoch = best_epoch(run / f"valid.{criterion}.best.pth")
    try:
        with torch.serialization.safe_globals(REPORTED):
            states = torch.load(run / "checkpoint.pth", map_location="cpu", weights_only=True)
        train, valid = (states["reporter"]["stats"][epoch][phase] for phase in ("train", "valid"))
    except Exception as error:  # what torch raises for damaged data is not specified
        first = str(error).strip().split("\n")[0][:120]
        raise InputError(f"{run / 'checkpoint.pth'}: no record of epoch {epoch} ({first}); {TRAIN_AGAIN}") from error
    scores = {set_name: dict(evaluation.scores) for set_name, evaluation in evaluations.items()}
    if "epoch_perplexity" in valid:
        conf = config["encoder_conf"]["bottleneck_conf"]
        scores[next(iter(scores))] |= {
            "perplexity": float(valid["epoch_perplexity"]),
            "used_codes": int(valid["epoch_codes_used"]),
            "codebook_size": conf["codebook_size"],
        }
    decisive = {key: config[key] for key in DECISIVE if key in config}
    # A path, which says nothing elsewhere.
    decisive["encoder_conf"] = {key: value for key, value in config["encoder_conf"].items() if key != "cmvn"}
    return Result(
        name=name,
        variant=name.partition("-")[0],
        seed=config["seed"],
        data=data,
        command=command,
        commit=str(record.get("git_commit", "unknown")),
        config_hash=hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12],
        config=decisive,
        # The reporter counts batches.
        update=train["total_count"] // config["accum_grad"],
        checkpoint=f"best by {criterion}",
        scores=scores,
        speakers={set_name: evaluation.speakers for set_name, evaluation in evaluations.items()},
        task="recognition",
    )


def best_epoch(link: Path) -> int:
    """The epoch that ESPnet's link to the best one points to.

    Raises:
        InputError: it is not there, or points elsewhere.
    """
    name = link.resolve().name
    if not link.is_file() or not name.removesuffix("epoch.pth").isdigit():
        raise InputError(f"{link}: no link to an epoch's weights; {TRAIN_AGAIN}")
    return int(name.removesuffix("epoch.pth"))


def read_yaml(path: Path) -> dict:
    """A YAML file of a run.

    Raises:
        InputError: it is missing or malformed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: can't be read ({' '.join(str(error).split())[:120]}); {TRAIN_AGAIN}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: found {type(content).__name__}, expected keys and values; {TRAIN_AGAIN}")
    return content
