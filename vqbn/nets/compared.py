"""What an encoder hands a bottleneck, as the bottleneck compares it with its codewords."""

import numpy as np
import torch
from torch import Tensor, nn

from vqbn import VQBottleneck
from vqbn.nets.deepspeech2 import valid_frames


@torch.no_grad()
def compared(bottleneck: nn.Module, encoded: Tensor, lengths: Tensor | None = None) -> list[np.ndarray]:
    """The vectors that a bottleneck compares with its codewords, or would if it had any.

    Args:
        bottleneck: in evaluation mode.
        encoded: (batch, time, input_dim).
        lengths: (batch,) int64 valid positions; None: all.

    Returns:
        Per sequence, float32 (length, code_dim).
    """
    batch, time = encoded.shape[:2]
    if isinstance(bottleneck, VQBottleneck):
        vectors = bottleneck.latents(encoded, lengths=lengths).flatten(1)
    else:
        mask = None if lengths is None else valid_frames(lengths, time)
        vectors = bottleneck.projection(encoded if mask is None else encoded[mask]).flatten(0, -2)
    sizes = [time] * batch if lengths is None else lengths.tolist()
    return [part.cpu().numpy() for part in vectors.split(sizes)]
