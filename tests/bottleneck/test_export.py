"""Graphs for runtimes that don't have this package."""

import pytest
import torch
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck

onnxruntime = pytest.importorskip("onnxruntime")

# Of torch's exporter about torch's LSTM.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The tensor attributes"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


class Recognizer(nn.Module):
    """Encoder, bottleneck and head; one utterance, no packing."""

    def __init__(self, **options):
        super().__init__()
        self.encoder = nn.LSTM(5, 6, bidirectional=True, batch_first=True)
        self.bottleneck = VQBottleneck(12, 8, 16, normalization="batch", **options)
        self.head = nn.Conv1d(8, 3, 1)

    def forward(self, x):
        output = self.bottleneck(self.encoder(x)[0])
        return self.head(output.quantized.transpose(1, 2)), output.indices


def trained(**options) -> Recognizer:
    torch.manual_seed(0)
    model = Recognizer(**options)
    for _ in range(5):
        model(torch.randn(4, 10, 5))
    return model.eval()


@pytest.mark.parametrize(
    "options",
    [
        {"update": "gradient", "reestimation": ReestimationSchedule(3, 3, 1)},
        {"update": "ema", "num_codebooks": 2},
    ],
)
def test_exported_it_runs_elsewhere_with_plain_operators(options, tmp_path):
    model = trained(**options)
    example, x = torch.randn(2, 1, 20, 5)
    logits, indices = model(x)
    assert (indices >= 0).all()

    program = torch.export.export(model, (example,))
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in operators if not name.startswith(("aten.", "<built-in function getitem>"))]
    exported_logits, exported_indices = program.module()(x)
    assert torch.equal(exported_indices, indices)
    assert torch.allclose(exported_logits, logits, atol=1e-6)

    path = tmp_path / "model.onnx"
    torch.onnx.export(program, (), str(path), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found_logits, found_indices = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert torch.equal(torch.from_numpy(found_indices), indices)
    assert torch.allclose(torch.from_numpy(found_logits), logits, atol=1e-5)


def test_before_the_first_clustering_the_projection_is_exported():
    model = trained(reestimation=ReestimationSchedule(100, 100, 1))
    x = torch.randn(1, 20, 5)
    logits, indices = torch.export.export(model, (torch.randn(1, 20, 5),)).module()(x)
    assert torch.allclose(logits, model(x)[0], atol=1e-6)
    assert (indices == -1).all()
