"""The DeepSpeech2 encoder: strided convolutions over time and frequency, then bidirectional LSTM layers."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vqbn.nets.masked_norm import MaskedBatchNorm2d


class Convolution(NamedTuple):
    """One layer of the convolutional stack; pairs are (time, frequency)."""

    channels: int
    kernel: tuple[int, int] = (7, 7)
    stride: tuple[int, int] = (1, 1)


def speech_convolutions(channels: int = 32) -> tuple[Convolution, ...]:
    """The two layers of the paper's WSJ encoder: frequency halved, then one latent for three frames."""
    return Convolution(channels, stride=(1, 2)), Convolution(channels, stride=(3, 1))


class DeepSpeech2Encoder(nn.Module):
    """Convolution, batch normalisation and clipping per layer; then LSTM layers whose two directions are summed.

    The defaults are the authors' WSJ sizes (section IV-A of the paper). Padded frames are zeroed before every
    convolution and enter no statistic, and the LSTM layers stop at each item's length, so an item's output does not
    depend on how much it was padded.

    Args:
        height: features per frame and channel (80 mel bins and energy: 81).
        channels: input channels (static, delta and delta-delta: 3).
        convolutions: the layers of the convolutional stack.
        lstm_layers: bidirectional LSTM layers, without biases as the authors'.
        lstm_size: units of each direction, and the dimension of the output.
    """

    def __init__(
        self,
        height: int = 81,
        channels: int = 3,
        convolutions: Sequence[Convolution] | None = None,
        lstm_layers: int = 4,
        lstm_size: int = 320,
    ):
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.strides: list[int] = []
        for layer in convolutions or speech_convolutions():
            padding = tuple((k - 1) // 2 for k in layer.kernel)
            convolution = nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, padding)
            # Features arrive channels-last; the weights in the same layout save a third of the time on a CPU.
            self.convolutions.append(convolution.to(memory_format=torch.channels_last))
            self.norms.append(MaskedBatchNorm2d(layer.channels))
            self.strides.append(layer.stride[0])
            channels = layer.channels
            height = (height + 2 * padding[1] - layer.kernel[1]) // layer.stride[1] + 1
        self.activation = nn.Hardtanh(0, 20)
        sizes = [channels * height] + [lstm_size] * (lstm_layers - 1)
        self.lstms = nn.ModuleList(
            nn.LSTM(size, lstm_size, bias=False, batch_first=True, bidirectional=True) for size in sizes
        )
        self.output_dim = lstm_size
        self.subsampling = 1
        for stride in self.strides:
            self.subsampling *= stride

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Latents of items of `lengths` frames: each stride s makes n into ceil(n / s)."""
        for stride in self.strides:
            lengths = -(-lengths // stride)
        return lengths

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Encode a padded batch.

        Args:
            features: (batch, time, height, channels) float; what stands in padded frames does not matter.
            lengths: (batch,) int64, valid frames of each item. None: all frames are valid, and nothing is packed,
                which is how the encoder is exported.

        Returns:
            (batch, ceil(time / subsampling), output_dim), zeros after each item's end, and the (batch,) lengths.
        """
        if lengths is not None and all_whole(lengths, features.shape[1]):
            # Nothing is padded: the plain path is the same and faster.
            x, _ = self._encode(features, None)
            return x, self.output_lengths(lengths)
        return self._encode(features, lengths)

    def _encode(self, features: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        layers = zip(self.convolutions, self.norms, self.strides, strict=True)
        x, lengths, _ = convolve(features.permute(0, 3, 1, 2), lengths, layers, self.activation)
        x = x.permute(0, 2, 3, 1).flatten(2)
        for lstm in self.lstms:
            x = sum_directions(lstm, x, lengths)
        return x, lengths


def all_whole(lengths: Tensor, time: int) -> bool:
    """Whether nothing is padded: all lengths (batch,) are `time`."""
    return bool((lengths == time).all())


def convolve(
    x: Tensor, lengths: Tensor | None, layers: Iterable[tuple[nn.Module, nn.Module, int]], activation: nn.Module
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Convolutions, each with its masked normalisation, to which padding is zeros.

    Args:
        x: (batch, channels, time, height).
        lengths: (batch,) int64 valid frames; None: all.
        layers: convolution, normalisation and stride over time.
        activation: maps zeros to zeros, so that padding stays zeros.

    Returns:
        The last layer's output, its lengths, and where it is valid, (batch, time) bool, or None.
    """
    mask = valid_frames(lengths, x.shape[2])
    if mask is not None:
        x = x.masked_fill(~mask[:, None, :, None], 0.0)
    for convolution, norm, stride in layers:
        x = convolution(x)
        if lengths is not None:
            lengths = -(-lengths // stride)
            mask = valid_frames(lengths, x.shape[2])
        x = activation(norm(x, mask))
    return x, lengths, mask


def valid_frames(lengths: Tensor | None, time: int) -> Tensor | None:
    """(batch, time) bool, True before each item's length; None for None."""
    if lengths is None:
        return None
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def sum_directions(lstm: nn.LSTM, x: Tensor, lengths: Tensor | None) -> Tensor:
    """The sum of both directions' outputs, (batch, time, size), zeros after each item's end."""
    if lengths is None:
        x, _ = lstm(x)
    else:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=x.shape[1])
    forward, backward = x.chunk(2, dim=-1)
    return forward + backward
