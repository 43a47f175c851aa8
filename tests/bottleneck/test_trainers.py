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
