import lightning.pytorch as pl
import torch
from torch import nn

from vqbn import VQBottleneck
from vqbn.runs.averaging import PolyakAveraging


class Module(pl.LightningModule):
    def __init__(self, update):
        super().__init__()
        self.model = nn.Module()
        self.model.encoder = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
        self.model.bottleneck = VQBottleneck(6, 2, 5, update=update)


def test_weights_are_averaged_and_codebooks_taken_over():
    for update in ("gradient", "ema"):
        torch.manual_seed(0)
        module, trainer = Module(update), pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        averaging = PolyakAveraging(0.75)
        averaging.setup(trainer, module, "fit")
        expected = None
        for step in range(1, 5):
            with torch.no_grad():
                for value in module.state_dict().values():
                    if value.is_floating_point():
                        value.add_(torch.randn_like(value))
            trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
            averaging.on_train_batch_end(trainer, module, None, None, step - 1)
            now = [p.detach().clone() for p in module.model.encoder.parameters()]
            now += [b.clone() for b in module.model.encoder.buffers() if b.is_floating_point()]
            # The first update is copied, so that the initial weights don't linger.
            expected = now if expected is None else [0.75 * a + 0.25 * b for a, b in zip(expected, now, strict=True)]
        got = [*averaging.model.encoder.parameters()]
        got += [b for b in averaging.model.encoder.buffers() if b.is_floating_point()]
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b)
        for name in ("codebook", "ema_counts", "ema_sums") if update == "ema" else ("codebook",):
            live = getattr(module.model.bottleneck, name)
            assert torch.equal(getattr(averaging.model.bottleneck, name), live)
        projection = module.model.bottleneck.projection.weight
        assert not torch.equal(averaging.model.bottleneck.projection.weight, projection)


def test_counters_are_copied_rather_than_averaged():
    module, trainer = Module("gradient"), pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    averaging = PolyakAveraging(0.9)
    averaging.setup(trainer, module, "fit")
    for step in (1, 2, 3):
        module.model.encoder[1].num_batches_tracked.fill_(10 * step)
        trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
        averaging.on_train_batch_end(trainer, module, None, None, step - 1)
    assert averaging.model.encoder[1].num_batches_tracked == 30


def test_averages_are_where_the_trainer_trains():
    class Trainer:
        class strategy:
            root_device = torch.device("meta")

    averaging = PolyakAveraging(0.9)
    averaging.setup(Trainer, Module("gradient"), "fit")
    assert {p.device.type for p in averaging.model.parameters()} == {"meta"}
