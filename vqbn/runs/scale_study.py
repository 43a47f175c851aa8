"""The paper's Figure 1a: what codes tell against the scale of codewords relative to encoder outputs, without BN.

For each scale a model is trained from codewords of that size (section III-A), its codes are taken, and a probe reads
symbols from them: those of its task.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch

from vqbn.errors import InputError
from vqbn.metrics.probe import fit_probe, probe_errors, probe_loss
from vqbn.runs.checkpoint import load
from vqbn.runs.config import configuration_hash
from vqbn.runs.task import Config, Task
from vqbn.runs.train import train


@dataclass(frozen=True)
class Point:
    """One scale.

    Attributes:
        scale: mean norm of codewords over that of encoder outputs, both before training.
        seed: of the training.
        codebook_init: the codewords began uniform within ± this.
        codeword_norm, encoder_norm: mean norms before training.
        codeword_norm_after, encoder_norm_after: those after it, on the development set.
        probe_error: errors of the probe in percent of the symbols of the development set.
        task_score: the task's own score of the last evaluation: PER, or bits per pixel.
        perplexity, used_codes: on the development set.
        codebook_size: K.
        updates: of the training.
        config_hash: what the run's results depend on.
        probe_loss: CTC loss of the probe in nats per symbol of the development set; None in files of older versions.
    """

    scale: float
    seed: int
    codebook_init: float
    codeword_norm: float
    encoder_norm: float
    codeword_norm_after: float
    encoder_norm_after: float
    probe_error: float
    task_score: float
    perplexity: float
    used_codes: int
    codebook_size: int
    updates: int
    config_hash: str
    probe_loss: float | None = None


def norms_at_start(config: Config, task: Task) -> tuple[float, float]:
    """Mean norms of codewords that begin within ±1, and of the encoder's outputs for the first training batch.

    Raises:
        InputError: the data is unusable.
    """
    prepared = task.prepare({**config, "vq_codebook_init": 1.0})
    # All that the data asks of a trainer.
    prepared.data.trainer = SimpleNamespace(global_step=0, global_rank=0, world_size=1)
    batch = next(iter(prepared.data.train_dataloader()))
    module = prepared.module.train()
    bottleneck = module.model.bottleneck
    with torch.no_grad():
        module.training_step(batch, 0)
    return bottleneck.codeword_norm, bottleneck.encoder_norm


def measure(scale: float, config: Config, task: Task, norms: tuple[float, float]) -> Point:
    """Train from codewords of a relative scale, or go on with that run, and probe its codes.

    Args:
        scale: mean norm of codewords over that of encoder outputs at the start.
        config: of the training; `expdir` is this run's own.
        task: what is trained; it has `symbols`.
        norms: as `norms_at_start` gives them.

    Raises:
        InputError: the data is unusable, or `expdir` holds another run.
    """
    unit, encoder_norm = norms
    init = scale * encoder_norm / unit
    config = {**config, "vq_codebook_init": init}
    train(config, task)
    expdir = Path(config["expdir"])
    model = load(expdir / "checkpoints/last.ckpt", task).model
    coded = [task.coded(model, config, config[name]) for name in ("train_set", "dev_set")]
    probe = fit_probe(coded[0], config["vq_codebook_size"], task.count_symbols(config), seed=config["seed"])
    after = json.loads((expdir / "curve.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return Point(
        scale=scale,
        seed=config["seed"],
        codebook_init=init,
        codeword_norm=scale * encoder_norm,
        encoder_norm=encoder_norm,
        codeword_norm_after=after["codeword_norm"],
        encoder_norm_after=after["encoder_norm"],
        probe_error=probe_errors(probe, coded[1]).rate,
        task_score=after[task.best_by(config)],
        perplexity=after["perplexity"],
        used_codes=after["used_codes"],
        codebook_size=config["vq_codebook_size"],
        updates=after["update"],
        config_hash=configuration_hash(config, task.keys),
        probe_loss=probe_loss(probe, coded[1]),
    )


def study(
    scales: Iterable[float], seeds: Sequence[int], config: Config, task: Task, done: Sequence[Point] = ()
) -> Iterable[Point]:
    """Measure every scale and seed that is not in `done` yet, one after the other.

    Args:
        scales: mean norms of codewords over that of encoder outputs.
        seeds: of the trainings.
        config: as `parse_arguments` gives it; each run goes into a folder in `expdir`.
        task: what is trained; it has `symbols`.
        done: points of earlier calls; one counts where its configuration is the same.

    Yields:
        New points.

    Raises:
        InputError: the task has no symbols, or the configuration normalises batches, clusters, or has no codebook to
            scale; or as `measure`.
    """
    for key, value in (("vq_normalization", "none"), ("reestimation", False), ("vq_update", "gradient")):
        if config[key] != value:
            raise InputError(f"{key}: found {config[key]}, expected {value}: the study is about codewords left alone")
    if not task.symbols:
        raise InputError(f"task: found {task.name}, whose items have no symbols that a probe could read")
    if config.get("bottleneck", "vq") != "vq":
        raise InputError(f"bottleneck: found {config['bottleneck']}, expected vq: there is no codebook to scale")
    task.count_symbols(config)  # refuses a configuration without symbols before anything is trained
    for seed in seeds:
        norms = norms_at_start({**config, "seed": seed}, task)
        for scale in scales:
            run = {**config, "seed": seed, "expdir": str(Path(config["expdir"]) / f"scale{scale:g}_seed{seed}")}
            about = configuration_hash({**run, "vq_codebook_init": scale * norms[1] / norms[0]}, task.keys)
            if all(about != point.config_hash for point in done):
                yield measure(scale, run, task, norms)
