"""The conditional PixelCNN that draws a line of handwriting column by column (van den Oord et al., 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def shift_columns(x: Tensor) -> Tensor:
    """Move (batch, channels, columns, height) one column to the right; the first becomes zeros, the last falls off."""
    return F.pad(x[:, :, :-1], (0, 0, 1, 0))


def gate(x: Tensor) -> Tensor:
    """sigmoid(first half of the channels) · tanh(second half)."""
    first, second = x.chunk(2, dim=1)
    return torch.sigmoid(first) * torch.tanh(second)


class GatedLayer(nn.Module):
    """One gated layer: `v` sees earlier columns only, `h` also the pixels above in the same column.

    Args:
        height: rows.
        channels: of both stacks.
        condition_dim: dimension of the mixed latents.
        first: the layer after the input convolution, whose output already knows the pixels above: `v` may not see the
            current column of it, and `h` gets no residual.
    """

    def __init__(self, height: int, channels: int, condition_dim: int, first: bool):
        super().__init__()
        self.first = first
        self.v = nn.Conv2d(channels, 2 * channels, (1 if first else 2, 3), bias=False)
        self.h = nn.Conv2d(channels, 2 * channels, (1, 2), bias=False)
        self.v_to_h = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.v_bias = nn.Parameter(torch.zeros(2 * channels, 1, height))
        self.h_bias = nn.Parameter(torch.zeros(2 * channels, 1, height))
        self.v_condition = nn.Conv1d(condition_dim, 2 * channels, 1, bias=False)
        self.h_condition = nn.Conv1d(condition_dim, 2 * channels, 1, bias=False)
        self.h_residual = None if first else nn.Conv2d(channels, channels, 1, bias=False)
        self.skip = nn.Conv2d(channels, channels, 1)

    def forward(self, v: Tensor, h: Tensor, condition: Tensor, columns: int, repeat: int) -> tuple[Tensor, ...]:
        """Both stacks, (batch, channels, columns, height) each, and what the layer adds to the output."""
        v = self.v(F.pad(shift_columns(v), (1, 1))) if self.first else self.v(F.pad(v, (1, 1, 1, 0)))
        v = v + self.v_bias + spread(self.v_condition(condition), columns, repeat)
        above = self.h(F.pad(h, (1, 0)))
        y = gate(above + self.v_to_h(v) + self.h_bias + spread(self.h_condition(condition), columns, repeat))
        h = y if self.h_residual is None else h + self.h_residual(y)
        return gate(v), h, self.skip(F.relu(y))


def spread(condition: Tensor, columns: int, repeat: int) -> Tensor:
    """(batch, channels, latents) to (batch, channels, columns, 1): each latent for `repeat` columns, all rows alike."""
    return condition.repeat_interleave(repeat, dim=2)[:, :, :columns, None]


class PixelCNN(nn.Module):
    """p(pixel | columns before, pixels above, latents), a categorical distribution over grey levels.

    The defaults are the authors' sizes. Their kernels are masked at every step; here the masked taps do not exist, so
    that a forward multiplies nothing by zero: 782,596 parameters, the 807,428 of theirs without the masked ones. A
    pixel depends on 10 columns before it, with 10 rows above and below (in the column just before, 3 below), and
    on 10 pixels above in its column.

    Args:
        height: rows.
        levels: grey levels; 0 is ink.
        condition_dim: dimension of the mixed latents.
        channels: of both stacks.
        layers: gated layers.
        repeat: columns per latent.
    """

    def __init__(
        self,
        height: int = 32,
        levels: int = 4,
        condition_dim: int = 64,
        channels: int = 64,
        layers: int = 7,
        repeat: int = 4,
    ):
        super().__init__()
        self.levels = levels
        self.repeat = repeat
        self.before = nn.Conv2d(1, channels, (3, 7), bias=False)
        self.above = nn.Conv2d(1, channels, (1, 3), bias=False)
        self.bias = nn.Parameter(torch.randn(channels, 1, height))
        self.layers = nn.ModuleList(
            GatedLayer(height, channels, condition_dim, first=number == 0) for number in range(layers)
        )
        self.mix = nn.Conv2d(channels, channels, 1)
        self.head = nn.Conv2d(channels, levels, 1)

    @torch.no_grad()
    def start_from(self, counts: Tensor) -> None:
        """Let untrained weights give every pixel the distribution of grey levels of the training set.

        Most pixels are paper. A model that has to learn so much first does it over everything that is not zero on
        average, the latents among them: within a few updates they saturate all gates, whose gradients are then zero for
        good, and the decoder never looks at a code.

        Args:
            counts: (levels,) how often each level occurs.
        """
        nn.init.zeros_(self.head.weight)
        # A level that is nowhere may still come.
        shares = (counts + 1) / (counts + 1).sum()
        self.head.bias.copy_(shares.log())

    def ink(self, pixels: Tensor) -> Tensor:
        """Grey levels as numbers: 1 for ink, 0 for paper, which is also what surrounds a line."""
        return 1 - pixels.to(self.bias.dtype) / (self.levels - 1)

    def forward(self, pixels: Tensor, condition: Tensor) -> Tensor:
        """The logits of every pixel of given lines.

        Args:
            pixels: (batch, columns, height) integer grey levels.
            condition: (batch, ceil(columns / repeat), condition_dim).

        Returns:
            (batch, columns, height, levels) float; entry (t, r) does not depend on pixel (t, r) or what follows it.
        """
        x = self.ink(pixels)[:, None]
        columns = x.shape[2]
        condition = condition.transpose(1, 2)
        x = self.before(F.pad(x[:, :, :-1], (3, 3, 3, 0))) + self.above(F.pad(x[..., :-1], (3, 0))) + self.bias
        v = h = out = x
        for layer in self.layers:
            v, h, skip = layer(v, h, condition, columns, self.repeat)
            out = out + skip
        return self.head(F.relu(self.mix(F.relu(out)))).permute(0, 2, 3, 1)
