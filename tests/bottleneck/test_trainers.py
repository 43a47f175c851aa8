"""Loops that people train with. DistributedDataParallel is in test_distributed.py."""

import pytest
import torch
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck, parameter_groups

SCHEDULE = ReestimationSchedule(3, 7, 4)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Linear(6, 6)
        self.bottleneck = VQBottleneck(6, 4, 8, reestimation=SCHEDULE, reservoir_size=60)

    def forward(self, x):
        output = self.bottleneck(self.encoder(x))
        return output.quantized.square().mean() + output.loss


def data(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(5, 6, generator=generator) for _ in range(count)]


def by_hand(rows: list[torch.Tensor], accumulated: int) -> Model:
    model = Model()
    optimizer = torch.optim.Adam(parameter_groups(model, 1e-2, 1e-1))
    model.bottleneck.follow(optimizer)
    for i, x in enumerate(rows, 1):
        (model(x) / accumulated).backward()
        if i % accumulated == 0:
            optimizer.step()
            optimizer.zero_grad()
    return model


def test_accelerate_counts_its_real_steps():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = Model()
    optimizer = torch.optim.Adam(parameter_groups(model, 1e-2, 1e-1))
    rows = data(20)
    loader = torch.utils.data.DataLoader(rows, batch_size=None)
    wrapped, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    model.bottleneck.follow(optimizer)
    for x in loader:
        with accelerator.accumulate(wrapped):
            accelerator.backward(wrapped(x))
            optimizer.step()
            optimizer.zero_grad()
    assert model.bottleneck.updates == 10
    assert [event.update for event in model.bottleneck.reestimations] == [3, 7]
    expected = by_hand(rows, 2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name]), name


def test_accelerate_saves_and_loads(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    model = Model()
    wrapped, optimizer = accelerator.prepare(model, torch.optim.Adam(parameter_groups(model, 1e-2, 1e-1)))
    model.bottleneck.follow(optimizer)

    def train(rows):
        for x in rows:
            accelerator.backward(wrapped(x))
            optimizer.step()
            optimizer.zero_grad()
        return {name: value.clone() for name, value in model.state_dict().items()}

    rows = data(9)
    train(rows[:4])
    accelerator.save_state(tmp_path / "state")
    once = train(rows[4:])
    accelerator.load_state(tmp_path / "state")
    assert model.bottleneck.updates == 4
    again = train(rows[4:])
    assert [event.update for event in model.bottleneck.reestimations] == [3, 7]
    for name, value in once.items():
        assert torch.equal(value, again[name]), name


def test_lightning_counts_its_real_steps(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Model()

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(parameter_groups(self, 1e-2, 1e-1))
            self.model.bottleneck.follow(optimizer)
            return optimizer

        def training_step(self, batch, _):
            return self.model(batch)

        def validation_step(self, batch, _):
            return self.model(batch)

    module = Module()
    rows = data(20)
    loader = torch.utils.data.DataLoader(rows, batch_size=None)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=2,
        val_check_interval=6,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, loader, loader)
    assert module.model.bottleneck.updates == 10
    expected = by_hand(rows, 2)
    for name, value in module.model.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name]), name


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_lightning_averages_weights_stops_and_goes_on(tmp_path):
    """Its callback for averages knows nothing of extra state; what is saved must hold that of the live bottleneck."""
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
    from torch.optim.swa_utils import get_ema_multi_avg_fn

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Model()

        def configure_optimizers(self):
            return torch.optim.Adam(parameter_groups(self, 1e-2, 1e-1))

        def on_train_start(self):
            # The averaged model and, when training goes on, everybody's state are there by now.
            averaged = next(c for c in self.trainer.callbacks if isinstance(c, WeightAveraging))._average_model
            self.model.bottleneck.follow(self.optimizers(), averaged)

        def training_step(self, _batch, _index):
            generator = torch.Generator().manual_seed(self.trainer.global_step)
            return self.model(torch.randn(5, 6, generator=generator))

        def validation_step(self, _batch, _index):
            return self.model(torch.zeros(5, 6))

    def fit(folder, resume=None):
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=9,
            num_sanity_val_steps=0,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[
                WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(0.8)),
                ModelCheckpoint(folder, "{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True),
            ],
        )
        # One update an epoch.
        loader = torch.utils.data.DataLoader([0], batch_size=None)
        trainer.fit(Module(), loader, loader, ckpt_path=resume, weights_only=True)
        return torch.load(folder / "epoch=8.ckpt", weights_only=True)

    whole = fit(tmp_path / "whole")
    extra = "model.bottleneck._extra_state"
    assert torch.equal(whole["state_dict"][extra], whole["current_model_state"][extra])
    for stop in (0, 1, 2, 5, 6):
        resumed = fit(tmp_path / f"stopped{stop}", tmp_path / "whole" / f"epoch={stop}.ckpt")
        for name in ("state_dict", "current_model_state"):
            for key, value in whole[name].items():
                assert torch.equal(value, resumed[name][key]), f"{key} of {name}, stopped after update {stop + 1}"
    # The averaged weights of a checkpoint, decoded: they quantise, with a codebook from after the clusterings.
    averaged = Module()
    averaged.load_state_dict(whole["state_dict"])
    bottleneck = averaged.model.eval().bottleneck
    assert [event.update for event in bottleneck.reestimations] == [3, 7]
    assert (bottleneck(torch.randn(1, 9, 6)).indices >= 0).all()
    live = whole["current_model_state"]["model.bottleneck.codebook"]
    assert not torch.equal(bottleneck.codebook, live)
    assert (bottleneck.codebook - live).norm() < 0.5 * live.norm()
