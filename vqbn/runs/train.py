"""One training run from a configuration: begun, continued, or found finished."""

import contextlib
import logging
import os
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment

from vqbn.errors import InputError
from vqbn.files import locked
from vqbn.runs.averaging import PolyakAveraging
from vqbn.runs.checkpoint import WholeFileIO, read_checkpoint
from vqbn.runs.config import first_difference, write_config
from vqbn.runs.kept import check_name, kept_result
from vqbn.runs.keys import last_update
from vqbn.runs.progress import Progress
from vqbn.runs.stopping import Stopped, StopSignals, requeue
from vqbn.runs.task import Prepared, Task

logger = logging.getLogger(__name__)


def train(config: Mapping[str, object], task: Task) -> None:
    """Train until the last update, from the last checkpoint where there is one.

    A run without a checkpoint that a file in `results` already holds is done: nothing is trained.

    A run that is interrupted and continued on the CPU ends with the same weights, bit for bit, as one that is not.

    Args:
        config: as `parse_arguments` gives it, with the task's keys.
        task: what is trained.

    Raises:
        InputError: the data is unusable, the run's folder holds a run with another configuration or another process
            trains there, or a file in `results` is malformed, or has this run's name and another configuration.
        Stopped: a signal ended the training; it can go on.
    """
    expdir = Path(config["expdir"])
    last = expdir / "checkpoints" / "last.ckpt"
    # A run that has begun is brought to its end: what stands in its folder is decoded next. That its results could not
    # be kept is found out now rather than by stage 5.
    if last.exists():
        check_name(config, task.keys)
    elif kept := kept_result(config, task.keys):
        logger.info(
            "%s: done already: %s holds this configuration's run; remove that file to train it again", expdir, kept
        )
        return
    with run_folder(expdir):
        done = updates_done(last, config, task)
        with logged_to(expdir / "train.log"):
            if done < last_update(config):
                train_from(done, config, task)
            else:
                logger.info("%s: all %d updates are done already", expdir, done)


def run_folder(expdir: Path) -> contextlib.AbstractContextManager[None]:
    """The lock of a run's folder, which the processes that Lightning starts beside the first leave to that one."""
    return locked(expdir) if is_first_process() else contextlib.nullcontext()


def is_first_process() -> bool:
    """Whether this is not one of the processes that Lightning starts for further GPUs."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0


def train_from(done: int, config: Mapping[str, object], task: Task) -> None:
    """Read the data, and train from update `done` + 1 on."""
    started = time.monotonic()
    expdir = Path(config["expdir"])
    torch.set_num_threads(config["threads"])
    torch.manual_seed(config["seed"])
    if config["ngpu"] > torch.cuda.device_count():
        raise InputError(f"--ngpu: found {config['ngpu']}, expected at most {torch.cuda.device_count()}, as there are")
    for unfinished in (expdir / "checkpoints").glob(".*.ckpt"):
        unfinished.unlink()  # what an interrupted run was writing
    prepared = task.prepare(config)
    if config["init_from"] and not done:
        prepared.module.begin_with(config["init_from"])
    write_config(expdir / "config.yaml", resolved(config, task))
    logger.info(
        "%s: %s; %d parameters; update %d to %d",
        expdir,
        prepared.size,
        sum(p.numel() for p in prepared.module.parameters()),
        done + 1,
        last_update(config),
    )
    try:
        fit(prepared, config, task, done)
    except Stopped as stopped:
        logger.info("%s", stopped)
        if stopped.asked == signal.SIGUSR1 and is_first_process():
            requeue()
        raise
    logger.info("%s: trained in %.0f s", expdir, time.monotonic() - started)


def resolved(config: Mapping[str, object], task: Task) -> dict[str, object]:
    """The configuration with absolute paths."""
    paths = {key.name for key in task.keys if key.path}
    return {name: str(Path(value).absolute()) if name in paths and value else value for name, value in config.items()}


def updates_done(last: Path, config: Mapping[str, object], task: Task) -> int:
    """How far the run in a folder came; 0 where there is none.

    Raises:
        InputError: its checkpoint is damaged, or its configuration is not `config`.
    """
    if not last.exists():
        return 0
    about = read_checkpoint(last, task.kind)[task.kind]
    trained = {"continue_to": 0, **about["config"]}
    if config["continue_to"] > trained["continue_to"]:
        trained["continue_to"] = config["continue_to"]
    key = first_difference(config, trained, task.keys)
    if key is not None:
        longer = config["max_updates"] > trained["max_updates"]
        raise InputError(
            f"{last}: trained with {key}: {trained.get(key)}, not {config[key]}; "
            f"give the same {key}, another --expdir, or remove that folder"
            + ("; to train longer, give the same max_updates and --continue_to N" if longer else "")
        )
    return about["update"]


@contextlib.contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Append the package's log, and warnings such as that of a collapsed codebook, also to a file.

    Raises:
        OSError: the file can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    loggers = [logging.getLogger("vqbn"), logging.getLogger("py.warnings")]
    loggers[0].setLevel(logging.INFO)
    logging.captureWarnings(True)
    for source in loggers:
        source.addHandler(handler)
    try:
        yield
    finally:
        for source in loggers:
            source.removeHandler(handler)
        logging.captureWarnings(False)
        handler.close()


def fit(prepared: Prepared, config: Mapping[str, object], task: Task, done: int) -> None:
    """Run Lightning's trainer with what a run of ours needs.

    Args:
        prepared: module, data and evaluation.
        config: as `parse_arguments` gives it.
        task: what is trained.
        done: updates that the last checkpoint has behind it; 0: there is none.
    """
    expdir = Path(config["expdir"])
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    averaging = PolyakAveraging(config["polyak_decay"]) if config["polyak_decay"] else None
    # Averaging comes first: what is evaluated and saved after an update includes it.
    callbacks = [averaging] if averaging else []
    signals = StopSignals()
    callbacks.append(Progress(expdir, config, task, prepared, signals, averaging))
    gpus = config["ngpu"]
    with warnings.catch_warnings(), signals:
        # Preparing a batch takes a hundredth of the time of an update; a worker process is no gain on two cores.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning's own affair.
        warnings.filterwarnings("ignore", message=".*treespec.*")
        trainer = pl.Trainer(
            accelerator="gpu" if gpus else "cpu",
            devices=gpus or 1,
            strategy="ddp" if gpus > 1 else "auto",
            precision=config["precision"],
            max_steps=last_update(config),
            max_epochs=-1,
            gradient_clip_val=config["gradient_clip"] or None,
            callbacks=callbacks,
            # Not what Lightning finds: under Slurm it would take the job's tasks for processes of this run, and save
            # and look for checkpoints of its own in a folder that is no run's.
            plugins=[WholeFileIO(), LightningEnvironment()],
            default_root_dir=expdir,
            logger=TensorBoardLogger(expdir, name="", version="tensorboard", purge_step=done + 1),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=config["log_every"],
            use_distributed_sampler=False,
        )
        checkpoint = expdir / "checkpoints" / "last.ckpt" if done else None
        try:
            trainer.fit(prepared.module, datamodule=prepared.data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as error:
            # What Lightning makes of an interrupt.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
