"""One training run from a configuration: begun, continued, or found finished."""

import logging
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from vqbn.data.speech import CHANNELS, SpeechDataset
from vqbn.data.tokens import Tokens
from vqbn.errors import InputError
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.training.averaging import PolyakAveraging
from vqbn.training.checkpoint import WholeFileIO, read_checkpoint
from vqbn.training.config import first_difference, write_config
from vqbn.training.progress import Progress
from vqbn.training.recognition import ChunkData, RecognitionTraining

logger = logging.getLogger(__name__)


def train(config: Mapping[str, object]) -> None:
    """Train until `max_updates`, from the last checkpoint where there is one.

    A run that is interrupted and continued on the CPU ends with the same weights, bit for bit, as one that is not.

    Args:
        config: as `parse_arguments` gives it.

    Raises:
        InputError: the data is unusable, or the run's folder holds a run with another configuration.
    """
    started = time.monotonic()
    expdir, dump = Path(config["expdir"]), Path(config["dump"])
    last = expdir / "checkpoints" / "last.ckpt"
    done = updates_done(last, config)
    handler = log_to(expdir / "train.log")
    try:
        if done >= config["max_updates"]:
            logger.info("%s: all %d updates are done already", expdir, done)
            return
        torch.set_num_threads(config["threads"])
        torch.manual_seed(config["seed"])
        if config["ngpu"] and torch.cuda.device_count() < config["ngpu"]:
            raise InputError(
                f"--ngpu: found {config['ngpu']}, expected at most {torch.cuda.device_count()}, as there are"
            )
        tokens = Tokens.read(dump / "tokens.txt")
        cmvn = read_cmvn(dump / "cmvn.ark")
        train_set = SpeechDataset(dump / config["train_set"], tokens, cmvn, cache=config["cache_features"])
        dev_set = SpeechDataset(dump / config["dev_set"], tokens, cmvn, cache=config["cache_features"])
        write_config(expdir / "config.yaml", {**config, "dump": str(dump.absolute()), "expdir": str(expdir.absolute())})
        module = RecognitionTraining(config, tokens, cmvn.mean.size // CHANNELS)
        logger.info(
            "%s: %d utterances, %.1f h; %d parameters; update %d to %d",
            expdir,
            len(train_set),
            sum(train_set.num_frames.values()) / 360000,
            sum(p.numel() for p in module.parameters()),
            done + 1,
            config["max_updates"],
        )
        fit(module, ChunkData(train_set, config), dev_set, config, last if done else None)
        logger.info("%s: trained in %.0f s", expdir, time.monotonic() - started)
    finally:
        logging.getLogger("vqbn").removeHandler(handler)
        handler.close()


def updates_done(last: Path, config: Mapping[str, object]) -> int:
    """How far the run in a folder came; 0 where there is none.

    Raises:
        InputError: its checkpoint is damaged, or its configuration is not `config`.
    """
    if not last.exists():
        return 0
    about = read_checkpoint(last)["recognizer"]
    key = first_difference(config, about["config"])
    if key is not None:
        raise InputError(
            f"{last}: trained with {key}: {about['config'].get(key)}, not {config[key]}; "
            f"give the same {key}, another --expdir, or remove that folder"
        )
    return about["update"]


def log_to(path: Path) -> logging.Handler:
    """Let the log also be appended to a file.

    Raises:
        OSError: the file can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    package = logging.getLogger("vqbn")
    package.setLevel(logging.INFO)
    package.addHandler(handler)
    return handler


def fit(
    module: RecognitionTraining,
    data: ChunkData,
    dev_set: SpeechDataset,
    config: Mapping[str, object],
    checkpoint: Path | None,
) -> None:
    """Run Lightning's trainer with what a run of ours needs.

    Args:
        module: the model and its optimiser.
        data: the training batches.
        dev_set: what is evaluated.
        config: as `parse_arguments` gives it.
        checkpoint: where to go on from.
    """
    expdir = Path(config["expdir"])
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    averaging = PolyakAveraging(config["polyak_decay"]) if config["polyak_decay"] else None
    # Averaging comes first: what is evaluated and saved after an update includes it.
    callbacks = [averaging] if averaging else []
    callbacks.append(Progress(expdir, config, dev_set, averaging))
    gpus = config["ngpu"]
    with warnings.catch_warnings():
        # Preparing a batch takes a hundredth of the time of an update; a worker process is no gain on two cores.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning's own affair.
        warnings.filterwarnings("ignore", message=".*treespec.*")
        trainer = pl.Trainer(
            accelerator="gpu" if gpus else "cpu",
            devices=gpus or 1,
            strategy="ddp" if gpus > 1 else "auto",
            precision=config["precision"],
            max_steps=config["max_updates"],
            max_epochs=-1,
            gradient_clip_val=config["gradient_clip"] or None,
            callbacks=callbacks,
            plugins=[WholeFileIO()],
            logger=TensorBoardLogger(expdir, name="", version="tensorboard", purge_step=None),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=config["log_every"],
            use_distributed_sampler=False,
        )
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
