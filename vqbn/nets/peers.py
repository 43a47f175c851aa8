"""Other people's quantisers in our bottleneck's place, to compare with: the layers of vector-quantize-pytorch.

The package is an optional extra (`peers`). Its facts here are those of version 1.32.
"""

import torch
from torch import nn

from vqbn.bottleneck import BottleneckOutput, MaskedBatchNorm
from vqbn.errors import InputError
from vqbn.nets.deepspeech2 import valid_frames

PEERS = ("vqp_ema", "simvq", "fsq", "rotation", "cosine")

# Levels whose product is close to K, with at least 5 each, as Mentzer et al. (2023) advise in their section 4.1.
FSQ_LEVELS = {
    256: (8, 6, 5),
    512: (8, 8, 8),
    1024: (8, 5, 5, 5),
    2048: (8, 8, 6, 5),
    4096: (7, 5, 5, 5, 5),
}


class PeerBottleneck(nn.Module):
    """A peer's layer behind the interface of `VQBottleneck`: our batch normalisation or none, a linear projection, then
    the layer.

    The layer sees the valid vectors alone, as one sequence: padding enters none of its statistics, whatever it does
    with masks itself. With several processes each normalises by its own vectors.

    Args:
        input_dim: dimension of the encoder's outputs.
        code_dim: dimension of what the rest of the model gets.
        layer: takes (1, vectors, code_dim) and returns the same quantised, indices (1, vectors), and its loss if it
            has one.
        codebook_size: codewords that `layer` chooses from.
        normalization: "none", or "batch" for the same that `VQBottleneck` has, in front of the projection.
    """

    num_codebooks = 1

    def __init__(
        self, input_dim: int, code_dim: int, layer: nn.Module, codebook_size: int, normalization: str = "none"
    ):
        super().__init__()
        self.input_dim = input_dim
        self.code_dim = code_dim
        self.codebook_size = codebook_size
        self.normalization = MaskedBatchNorm(input_dim) if normalization == "batch" else None
        self.projection = nn.Linear(input_dim, code_dim)
        self.layer = layer

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> BottleneckOutput:
        """Quantise vectors.

        Args:
            x: (batch, time, input_dim), or (..., input_dim) with a mask or neither.
            lengths: integers (batch,), the valid positions of each sequence.
            mask: bool (...), True where a vector is real.

        Returns:
            `quantized` (..., code_dim), zeros for padding; `indices` int64 (..., 1), -1 for padding; `loss`, the
            layer's own, 0 where it has none.
        """
        valid = valid_frames(lengths, x.shape[1]) if lengths is not None else mask
        x = x if valid is None else x.masked_fill(~valid.unsqueeze(-1), 0.0)
        valid = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device) if valid is None else valid
        if self.normalization is not None:
            normalized = self.normalization(x.flatten(0, -2), valid.flatten(), learning=self.training)
            x = normalized.reshape(x.shape)
        projected = self.projection(x).float()
        quantized = torch.zeros_like(projected)
        indices = torch.full((*x.shape[:-1], 1), -1, dtype=torch.int64, device=x.device)
        loss = 0.0 * projected.sum()
        vectors = projected[valid]
        if len(vectors):
            with torch.autocast(x.device.type, enabled=False):
                output, chosen, *losses = self.layer(vectors.unsqueeze(0))
            quantized = quantized.index_put((valid,), output.squeeze(0))
            indices[valid] = chosen.view(-1, 1).long()
            loss = loss + sum(each.sum() for each in losses)
        return BottleneckOutput(quantized, indices, loss)


def make_peer(
    name: str,
    input_dim: int,
    code_dim: int,
    codebook_size: int,
    decay: float = 0.8,
    commitment: float = 0.25,
    dead_threshold: float = 2.0,
    normalization: str = "none",
) -> PeerBottleneck:
    """One of the peers, with fresh weights from torch's global generator.

    - `vqp_ema`: codewords as moving averages, k-means on the first batch, unused codes replaced by the batch's vectors.
    - `rotation`: the same with the rotation trick (Fifty et al., 2024) in place of the straight-through estimator.
    - `cosine`: the same on the unit sphere, nearest by angle (Yu et al., 2022).
    - `simvq`: a frozen random codebook behind a linear layer that learns (Zhu et al., 2024), straight-through.
    - `fsq`: each of a few dimensions rounded to its levels (Mentzer et al., 2023); no codebook to learn, no loss.

    Args:
        name: one of `PEERS`.
        input_dim: dimension of the encoder's outputs.
        code_dim: dimension of what the rest of the model gets.
        codebook_size: K; `fsq` has the product of `FSQ_LEVELS[K]` instead.
        decay: of the moving averages; the package's own default is 0.8.
        commitment: weight of the commitment term.
        dead_threshold: a code whose moving average of assignments per batch is lower is replaced; the package's own
            default is 2 for its layer, which makes sense only for batches of many vectors per code.
        normalization: "none", or "batch" for our batch normalisation in front.

    Raises:
        InputError: the package is not installed, or `fsq` has no levels for this K.
    """
    try:
        from vector_quantize_pytorch import FSQ, SimVQ, VectorQuantize
    except ImportError as error:
        raise InputError(
            f"bottleneck: peer needs the package vector-quantize-pytorch ({error}); "
            "install it with: tools/setup.sh --extras peers, or pip install 'vqbn[peers]'"
        ) from error
    if name == "fsq":
        if codebook_size not in FSQ_LEVELS:
            raise InputError(f"vq_codebook_size: found {codebook_size}, expected one of {list(FSQ_LEVELS)} for fsq")
        layer = FSQ(levels=list(FSQ_LEVELS[codebook_size]), dim=code_dim)
        codebook_size = layer.codebook_size
    elif name == "simvq":
        layer = SimVQ(
            dim=code_dim,
            codebook_size=codebook_size,
            rotation_trick=False,
            input_to_quantize_commit_loss_weight=commitment,
        )
    elif name in PEERS:
        layer = VectorQuantize(
            dim=code_dim,
            codebook_size=codebook_size,
            decay=decay,
            commitment_weight=commitment,
            kmeans_init=True,
            threshold_ema_dead_code=dead_threshold,
            rotation_trick=name == "rotation",
            use_cosine_sim=name == "cosine",
        )
    else:
        raise ValueError(f"peer must be one of {', '.join(PEERS)}, not {name!r}")
    return PeerBottleneck(input_dim, code_dim, layer, codebook_size, normalization)
