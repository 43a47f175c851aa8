"""The DeepSpeech2 encoder as the authors use it on lines of handwriting: seven convolutions, two LSTM layers."""

import torch.nn.functional as F
from torch import Tensor, nn

from vqbn.nets.deepspeech2 import Convolution, convolve
from vqbn.nets.masked_norm import MaskedBatchNorm2d
from vqbn.nets.packed_lstm import run_lstm


def handwriting_convolutions(channels: int = 64) -> tuple[Convolution, ...]:
    """The seven layers: 32 rows become one, two columns one; `channels` in the first, 8 times as many in the last."""
    return (
        Convolution(channels, (3, 3), (1, 2)),
        Convolution(2 * channels, (5, 5), (2, 2)),
        Convolution(4 * channels, (3, 3), (1, 1)),
        Convolution(4 * channels, (3, 3), (1, 2)),
        Convolution(8 * channels, (3, 3), (1, 1)),
        Convolution(8 * channels, (3, 3), (1, 2)),
        Convolution(8 * channels, (3, 2), (1, 1)),
    )


class HandwritingEncoder(nn.Module):
    """A latent for every four columns: the convolutions halve the columns, and so does the second LSTM layer.

    The defaults are the authors' ScribbleLens sizes (6.4 million parameters). Padded columns are zeroed before every
    convolution and enter no statistic, and the LSTM layers stop at each line's end, so a line's output does not depend
    on how much it was padded.

    Args:
        height: rows of a line.
        channels: of the first convolution.
        lstm_size: units of each direction, and the dimension of the output.
    """

    subsampling = 4

    def __init__(self, height: int = 32, channels: int = 64, lstm_size: int = 32):
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        previous = 1
        self.strides: list[int] = []
        for layer in handwriting_convolutions(channels):
            padding = tuple((k - 1) // 2 for k in layer.kernel)
            self.convolutions.append(nn.Conv2d(previous, layer.channels, layer.kernel, layer.stride, padding))
            self.norms.append(MaskedBatchNorm2d(layer.channels))
            self.strides.append(layer.stride[0])
            previous = layer.channels
            height = (height + 2 * padding[1] - layer.kernel[1]) // layer.stride[1] + 1
        self.activation = nn.LeakyReLU(0.1)
        sizes = [previous * height, lstm_size]
        self.lstms = nn.ModuleList(nn.LSTM(size, lstm_size, batch_first=True, bidirectional=True) for size in sizes)
        self.projections = nn.ModuleList(nn.Linear(2 * lstm_size, lstm_size, bias=False) for _ in sizes)
        self.norm = MaskedBatchNorm2d(lstm_size)
        self.output_dim = lstm_size

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Latents of lines of `lengths` columns: ceil(columns / 4)."""
        return -(-lengths // self.subsampling)

    def forward(self, ink: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Encode a padded batch.

        Args:
            ink: (batch, columns, height) float; what stands in padded columns does not matter.
            lengths: (batch,) int64, valid columns of each line; None: all are valid.

        Returns:
            (batch, ceil(columns / 4), output_dim), zeros after each line's end, and the (batch,) lengths.
        """
        if lengths is not None and bool((lengths == ink.shape[1]).all()):
            # Nothing is padded: the plain path is the same and faster.
            x, _ = self._encode(ink, None)
            return x, self.output_lengths(lengths)
        return self._encode(ink, lengths)

    def _encode(self, ink: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        layers = zip(self.convolutions, self.norms, self.strides, strict=True)
        x, lengths, mask = convolve(ink[:, None], lengths, layers, self.activation)
        x = self.projections[0](run_lstm(self.lstms[0], x.permute(0, 2, 1, 3).flatten(2), lengths))
        y = self.norm(x.transpose(1, 2).unsqueeze(-1), mask).squeeze(-1).transpose(1, 2)
        y = run_lstm(self.lstms[1], y, lengths)
        x = F.relu(self.projections[1](y[:, ::2]) + x[:, ::2])
        return x, None if lengths is None else -(-lengths // 2)
