"""Drawing from a PixelCNN pixel by pixel, with every activation computed once."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vqbn.nets.pixelcnn import GatedLayer, PixelCNN


@dataclass
class Drawn:
    """Lines that a PixelCNN has drawn.

    Attributes:
        pixels: (batch, columns, height) uint8 grey levels.
        logits: (batch, columns, height, levels) float, what each pixel was drawn from.
    """

    pixels: Tensor
    logits: Tensor


class _Columns:
    """A gated layer's v, a whole column at a time; it keeps its input in the column before."""

    def __init__(self, layer: GatedLayer, batch: int, height: int):
        channels = layer.skip.in_channels
        # Taps (column, row) side by side, as (inputs, outputs); the column before comes first.
        taps = [weight.permute(2, 1, 0).reshape(3 * channels, -1) for weight in layer.v.weight.unbind(2)]
        self.weight_before, self.weight_now = taps if len(taps) == 2 else (taps[0], None)
        self.to_h = layer.v_to_h.weight[:, :, 0, 0].t()
        self.v_bias, self.h_bias = layer.v_bias[:, 0].t(), layer.h_bias[:, 0].t()
        self.v_condition, self.h_condition = (c.weight[:, :, 0].t() for c in (layer.v_condition, layer.h_condition))
        self.before = torch.zeros(batch, height, 3 * channels)

    def step(self, v: Tensor | None, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The next column: v after its gate, and what it adds to h before h's gate, (batch, height, ...) each.

        Args:
            v: (batch, height, channels), the layer's input; None for the first layer, which does not see this column.
            condition: (batch, condition_dim).
        """
        x = self.before @ self.weight_before + self.v_bias + (condition @ self.v_condition)[:, None]
        if v is not None:
            self.before = rows_around(v)
            x = x + self.before @ self.weight_now
        addition = x @ self.to_h + self.h_bias + (condition @ self.h_condition)[:, None]
        first, second = x.chunk(2, dim=-1)
        return torch.sigmoid(first) * torch.tanh(second), addition


class _Rows:
    """Every layer's h and the head, one pixel at a time, in as few operations as it takes.

    As sigmoid(a) = (1 + tanh(a / 2)) / 2, the first half of what goes into a gate is halved here, so that one tanh does
    for both halves, and what comes out is twice the gate's output, which the weights after it make up for.
    """

    def __init__(self, model: PixelCNN, batch: int):
        layers, channels = model.layers, model.mix.in_channels
        self.half = torch.cat([torch.full((channels,), 0.5), torch.ones(channels)])
        above, here = (
            torch.stack([layer.h.weight[:, :, 0, tap].t() for layer in layers]) * self.half for tap in (0, 1)
        )
        self.above, self.here = above.contiguous(), here.contiguous().unbind(0)
        identity = torch.eye(channels) / 2
        self.residuals = [
            identity if layer.first else (layer.h_residual.weight[:, :, 0, 0].t() / 2).contiguous() for layer in layers
        ]
        self.nothing = torch.zeros(batch, channels)
        self.skip = torch.cat([layer.skip.weight[:, :, 0, 0].t() / 2 for layer in layers])
        self.skip_bias = torch.stack([layer.skip.bias for layer in layers]).sum(0)
        self.mix, self.mix_bias = model.mix.weight[:, :, 0, 0].t().contiguous(), model.mix.bias
        self.head, self.head_bias = model.head.weight[:, :, 0, 0].t().contiguous(), model.head.bias
        # Everything is computed into buffers, whose views are made once: at this size operations cost more than sums.
        self.inputs = torch.zeros(len(layers), batch, channels)
        self.sums = torch.empty(len(layers), batch, 2 * channels)
        self.gates = torch.empty(batch, len(layers), channels)
        self.flat = self.gates.view(batch, -1)
        self.last = torch.empty(batch, channels)
        self.steps = [
            (
                x,
                z,
                *z.chunk(2, dim=-1),
                weight,
                y,
                self.nothing if layer.first else x,
                residual,
                following,
            )
            for layer, x, z, weight, y, residual, following in zip(
                layers,
                self.inputs,
                self.sums,
                self.here,
                self.gates.unbind(1),
                self.residuals,
                [*self.inputs[1:], self.last],
                strict=True,
            )
        ]

    def start_column(self) -> None:
        """Go to the top: nothing is above."""
        self.inputs.zero_()

    def step(self, entry: Tensor, additions: Tensor) -> Tensor:
        """The next pixel's logits, (batch, levels).

        Args:
            entry: (batch, channels), the input convolutions' output there.
            additions: (layers, batch, 2 · channels), what v and condition add to each layer's h; the first half halved.
        """
        torch.baddbmm(additions, self.inputs, self.above, out=self.sums)
        self.inputs[0] = entry
        for x, z, first, second, weight, y, base, residual, following in self.steps:
            torch.addmm(z, x, weight, out=z)
            z.tanh_()
            torch.addcmul(second, first, second, out=y)
            torch.addmm(base, y, residual, out=following)
        out = torch.addmm(entry + self.skip_bias, self.flat.relu(), self.skip)
        return torch.addmm(self.head_bias, torch.addmm(self.mix_bias, out.relu_(), self.mix).relu_(), self.head)


def rows_around(x: Tensor) -> Tensor:
    """(batch, height, channels) to (batch, height, 3 · channels): the rows above, here and below side by side."""
    padded = F.pad(x, (0, 0, 1, 1))
    return torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], dim=-1)


@torch.inference_mode()
def draw(
    model: PixelCNN,
    condition: Tensor,
    columns: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    given: Tensor | None = None,
) -> Drawn:
    """Draw whole lines, column by column and from top to bottom.

    Each activation is computed once, when the pixels that it depends on are known: those of earlier columns for a whole
    column at a time, the others pixel by pixel. The logits are those of the model's forward on the finished lines.

    Args:
        model: on the CPU, float32.
        condition: (batch, latents, condition_dim), at least ceil(columns / repeat) latents.
        columns: of the lines.
        temperature: 1 samples, 0 takes the most likely level of each pixel given those before it.
        generator: of the samples.
        given: (batch, columns, height) integer grey levels to follow instead of drawing; to look at the logits.

    Raises:
        ValueError: there are too few latents.
    """
    batch, height = condition.shape[0], model.bias.shape[-1]
    if condition.shape[1] * model.repeat < columns:
        raise ValueError(f"{condition.shape[1]} latents are too few for {columns} columns, {model.repeat} per latent")
    columnwise = [_Columns(layer, batch, height) for layer in model.layers]
    rowwise = _Rows(model, batch)
    pixels = torch.zeros(batch, columns, height, dtype=torch.uint8)
    logits = torch.empty(batch, columns, height, model.levels)
    above, bias = model.above.weight[:, 0, 0].t().contiguous(), model.bias[:, 0].t()
    shades = model.ink(torch.arange(model.levels))
    # Ink of the three columns before, with three rows of paper above and below.
    ink = torch.zeros(batch, 1, 3, height + 6)
    for t in range(columns):
        latent = condition[:, t // model.repeat]
        entries = (F.conv2d(ink, model.before.weight)[:, :, 0].transpose(1, 2) + bias).contiguous()
        v, additions = None, []
        for layer in columnwise:
            v, addition = layer.step(v, latent)
            additions.append(addition * rowwise.half)
        additions = torch.stack(additions).permute(2, 0, 1, 3).contiguous().unbind(0)
        if given is None and temperature > 0:
            # The largest of logits + Gumbel noise is a sample of the softmax.
            noise = -torch.empty(batch, height, model.levels).exponential_(generator=generator).log_()
        column = torch.zeros(batch, height + 6)
        rowwise.start_column()
        for r in range(height):
            entries[:, r].addmm_(column[:, r : r + 3], above)
            score = rowwise.step(entries[:, r], additions[r])
            logits[:, t, r] = score
            if given is not None:
                chosen = given[:, t, r].long()
            elif temperature > 0:
                chosen = (score / temperature + noise[:, r]).argmax(-1)
            else:
                chosen = score.argmax(-1)
            pixels[:, t, r] = chosen
            column[:, r + 3] = shades[chosen]
        # The first layer's v sees the column only from the next one on.
        columnwise[0].before = rows_around(entries)
        ink = torch.cat([ink[:, :, 1:], column[:, None, None]], dim=2)
    return Drawn(pixels, logits)
