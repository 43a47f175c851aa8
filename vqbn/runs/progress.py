"""What a run leaves behind while it trains: log, curve, TensorBoard events and checkpoints."""

import json
import logging
import math
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.runs.averaging import PolyakAveraging
from vqbn.runs.checkpoint import link_or_copy
from vqbn.runs.keys import last_update
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.stopping import Stopped, StopSignals
from vqbn.runs.task import Prepared, Task

logger = logging.getLogger(__name__)


class Progress(Callback):
    """Evaluates and saves between updates, in an order that an interruption at any moment can't spoil.

    Everything that it knows is in the checkpoint: the curve file is written from there, so a run that is continued
    from an earlier checkpoint than its curve's end cuts the curve back.

    Args:
        expdir: the run's folder.
        config: as `parse_arguments` gives it.
        task: what is trained.
        prepared: its parts.
        signals: one that is received ends the run after the update, saved; `Stopped` says so.
        averaging: where the weights to evaluate are; None: the module's own.
    """

    def __init__(
        self,
        expdir: Path,
        config: Mapping[str, object],
        task: Task,
        prepared: Prepared,
        signals: StopSignals,
        averaging: PolyakAveraging | None = None,
    ):
        self.expdir = expdir
        self.config = config
        self.task = task
        self.evaluate = prepared.evaluate
        self.signals = signals
        self.averaging = averaging
        self.points: list[dict[str, object]] = []
        self.best: float | None = None
        self._sums = dict.fromkeys(prepared.module.losses, 0.0)
        self._updates = 0
        self._clock: tuple[float, int] | None = None

    def state_dict(self) -> dict[str, Any]:
        sums = {name: float(value) for name, value in self._sums.items()}
        return {"points": self.points, "best": self.best, "sums": sums, "updates": self._updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.points = list(state_dict["points"])
        self.best = state_dict["best"]
        self._sums = dict(state_dict["sums"])
        self._updates = state_dict["updates"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._clock = (time.monotonic(), trainer.global_step)
        # Lightning has put a handler of its own in between, which ends the run unsaved.
        self.signals.watch()
        if trainer.is_global_zero:
            self._write_curve()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        config, update = self.config, trainer.global_step
        for name in self._sums:
            self._sums[name] = self._sums[name] + outputs[name].detach().double()
        self._updates += 1
        last = update in (config["max_updates"], config["continue_to"])
        if update % config["log_every"] == 0 or last:
            self._log(trainer, outputs)
        evaluated = update % config["validate_every"] == 0 or last
        if evaluated:
            self._check_finite(update)
            self._evaluate(trainer, pl_module)
        saved = evaluated or update % config["checkpoint_every"] == 0
        # All processes must come to the same answer.
        stop = trainer.strategy.reduce_boolean_decision(self.signals.received is not None, all=False)
        if saved or stop:
            self._check_finite(update)
            self._save(trainer, evaluated)
        if stop and update < last_update(config):
            raise Stopped(
                f"{self.expdir}: stopped by {(self.signals.received or signal.SIGTERM).name} after update {update}, "
                "which last.ckpt holds; the same command goes on",
                self.signals.received or signal.SIGTERM,
            )

    def _log(self, trainer: pl.Trainer, outputs: Mapping[str, Tensor]) -> None:
        update = trainer.global_step
        now = time.monotonic()
        then, before = self._clock
        seconds = (now - then) / max(1, update - before)
        self._clock = (now, update)
        values = {name: float(outputs[name]) for name in self._sums}
        units, unit = self.task.speed(self.config)
        speed = units / seconds
        rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        left = (last_update(self.config) - update) * seconds
        if trainer.is_global_zero:
            logger.info(
                "update %d of %d: %s, lr %s, %.0f %s/s, %s to go",
                update,
                last_update(self.config),
                ", ".join(f"{name} {value:.4f}" for name, value in values.items() if name != "loss"),
                " ".join(f"{rate:.2g}" for rate in rates),
                speed,
                unit,
                f"{left / 60:.0f} min" if left >= 60 else f"{left:.0f} s",
            )
            self._board(trainer, "train", {**values, f"{unit}_per_second": speed, "lr": rates[0]})

    def _evaluate(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            start = time.monotonic()
            model = self.averaging.model if self.averaging else pl_module.model
            point = self._point(trainer, pl_module, self.evaluate(model))
            self.points.append(point)
            logger.info(
                "update %d: dev %s (%.1f s)",
                trainer.global_step,
                self.task.summary(point),
                time.monotonic() - start,
            )
            numbers = {name: value for name, value in point.items() if value is not None and name != "update"}
            self._board(trainer, "dev", numbers)
            self._write_curve()
        self._sums = dict.fromkeys(self._sums, 0.0)
        self._updates = 0
        trainer.strategy.barrier()
        # Time spent here is not training time.
        self._clock = (time.monotonic(), trainer.global_step)

    def _point(
        self, trainer: pl.Trainer, pl_module: BottleneckTraining, scores: Mapping[str, float | bool | None]
    ) -> dict[str, object]:
        groups = trainer.optimizers[0].param_groups
        vq = pl_module.has_codebook
        means = {f"train_{name}": float(value) / max(1, self._updates) for name, value in self._sums.items()}
        return {
            "update": trainer.global_step,
            **scores,
            "codeword_norm": pl_module.model.bottleneck.codeword_norm if vq else None,
            **means,
            "lr": groups[0]["lr"],
            "codebook_lr": groups[-1]["lr"] if vq else None,
        }

    def _save(self, trainer: pl.Trainer, evaluated: bool) -> None:
        folder = self.expdir / "checkpoints"
        last, best = folder / "last.ckpt", folder / "best.ckpt"
        improved = evaluated and self._improved()
        if improved:
            self.best = self.points[-1][self.task.best_by(self.config)] if self.points else None
        # Both names stand for one file. `best` comes first: a run that ends between the two goes on from the `last`
        # before, and comes to the same `best` again.
        trainer.save_checkpoint(best if improved else last)
        if improved and trainer.is_global_zero:
            link_or_copy(best, last)

    def _improved(self) -> bool:
        if not self.points:
            return False
        point = self.points[-1]
        # Scores from before the first clustering are those of another model: one without a bottleneck.
        if point["codeword_norm"] is not None and not point["quantised"]:
            return False
        return self.best is None or point[self.task.best_by(self.config)] < self.best

    def _check_finite(self, update: int) -> None:
        if not math.isfinite(float(self._sums["loss"])):
            raise InputError(
                f"{self.expdir}: the loss is not finite by update {update}; the last checkpoint is kept: "
                "train with a smaller learning_rate or gradient_clip in another --expdir"
            )

    def _board(self, trainer: pl.Trainer, group: str, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            trainer.logger.experiment.add_scalar(f"{group}/{name}", value, trainer.global_step)

    def _write_curve(self) -> None:
        write_text(self.expdir / "curve.jsonl", "".join(json.dumps(point) + "\n" for point in self.points))
