"""The PixelCNN as it is usually written: kernels with taps that must not count, masked at every forward."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqbn.nets.pixelcnn import GatedLayer, PixelCNN, gate, spread


class MaskedPixelCNN(PixelCNN):
    """Same outputs as the `PixelCNN` that it is made from, same parameters in larger kernels.

    Args:
        model: what it takes sizes and weights from.
    """

    def __init__(self, model: PixelCNN):
        nn.Module.__init__(self)
        self.levels, self.repeat = model.levels, model.repeat
        channels = model.mix.in_channels
        entry, first = torch.randn(channels, 1, 4, 7), torch.randn(2 * channels, channels, 2, 3)
        entry[:, :, :3], entry[:, :, 3, :3] = model.before.weight.detach(), model.above.weight.detach()[:, :, 0]
        first[:, :, :1] = model.layers[0].v.weight.detach()
        self.entry, self.first = nn.Parameter(entry), nn.Parameter(first)
        self.register_buffer("entry_mask", torch.ones_like(entry))
        self.register_buffer("first_mask", torch.ones_like(first))
        self.entry_mask[:, :, 3, 3:] = 0
        self.first_mask[:, :, 1] = 0
        self.bias = nn.Parameter(model.bias.detach().clone())
        self.layers, self.mix, self.head = model.layers, model.mix, model.head

    def forward(self, pixels: Tensor, condition: Tensor) -> Tensor:
        """As `PixelCNN.forward`."""
        x = self.ink(pixels)[:, None]
        columns = x.shape[2]
        condition = condition.transpose(1, 2)
        x = F.conv2d(F.pad(x, (3, 3, 3, 0)), self.entry * self.entry_mask) + self.bias
        v = h = out = x
        for layer in self.layers:
            kernel = self.first * self.first_mask if layer.first else layer.v.weight
            v, h, skip = masked_layer(layer, kernel, v, h, condition, columns, self.repeat)
            out = out + skip
        return self.head(F.relu(self.mix(F.relu(out)))).permute(0, 2, 3, 1)


def masked_layer(
    layer: GatedLayer, kernel: Tensor, v: Tensor, h: Tensor, condition: Tensor, columns: int, repeat: int
) -> tuple[Tensor, Tensor, Tensor]:
    """`GatedLayer.forward` with a 2 × 3 kernel for v in every layer, the first one's masked."""
    v = F.conv2d(F.pad(v, (1, 1, 1, 0)), kernel)
    v = v + layer.v_bias + spread(layer.v_condition(condition), columns, repeat)
    above = layer.h(F.pad(h, (1, 0)))
    y = gate(above + layer.v_to_h(v) + layer.h_bias + spread(layer.h_condition(condition), columns, repeat))
    h = y if layer.h_residual is None else h + layer.h_residual(y)
    return gate(v), h, layer.skip(F.relu(y))
