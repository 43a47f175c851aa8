"""How well symbols can be read from code indices alone: a CTC probe with an embedding per code and a linear layer.

It sees one code at a time and not its neighbours or the codeword, so it measures what the choice of codes tells, and
collapsed codes tell nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vqbn.metrics.per import Errors, phone_errors
from vqbn.nets.best_path import greedy_decode
from vqbn.nets.ctc import ctc_loss


class Coded(NamedTuple):
    """A sequence in codes, and what it says.

    Attributes:
        codes: integers (latents, num_codebooks), none negative.
        targets: integers (symbols,), from 1; 0 is the blank.
    """

    codes: np.ndarray
    targets: np.ndarray


class IndexProbe(nn.Module):
    """Symbol posteriors from code indices: an embedding per code, summed over codebooks, and a linear layer.

    Args:
        codebook_size: K.
        num_codebooks: codebooks, with embeddings of their own each.
        num_symbols: symbols, the blank included.
        dim: of the embeddings.
    """

    def __init__(self, codebook_size: int, num_codebooks: int, num_symbols: int, dim: int = 64):
        super().__init__()
        self.codebook_size = codebook_size
        self.embedding = nn.Embedding(codebook_size * num_codebooks, dim)
        self.head = nn.Linear(dim, num_symbols)

    def forward(self, codes: Tensor) -> Tensor:
        """(batch, time, num_codebooks) int64 to (batch, time, num_symbols) natural log posteriors."""
        first = torch.arange(codes.shape[-1], device=codes.device) * self.codebook_size
        return self.head(self.embedding(codes + first).sum(-2)).log_softmax(-1)


def fit_probe(
    sequences: Sequence[Coded],
    codebook_size: int,
    num_symbols: int,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 1e-2,
    seed: int = 0,
) -> IndexProbe:
    """Train a probe with Adam, its step size falling linearly to 0.

    Args:
        sequences: what it learns from.
        codebook_size: K.
        num_symbols: symbols, the blank included.
        epochs: visits of each sequence.
        batch_size: sequences per update.
        learning_rate: the first step size.
        seed: of the weights and the order; the result is a function of the arguments alone.

    Raises:
        ValueError: there is no sequence.
    """
    if not sequences:
        raise ValueError("expected at least one sequence to train the probe on")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = IndexProbe(codebook_size, sequences[0].codes.shape[1], num_symbols)
        updates = epochs * -(-len(sequences) // batch_size)
        optimizer = torch.optim.Adam(probe.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, updates)
        for _ in range(epochs):
            for rows in torch.randperm(len(sequences)).split(batch_size):
                codes, lengths, targets, target_lengths = pad([sequences[row] for row in rows])
                loss = ctc_loss(probe(codes), lengths, targets, target_lengths)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return probe.eval()


@torch.no_grad()
def probe_errors(probe: IndexProbe, sequences: Sequence[Coded], batch_size: int = 64) -> Errors:
    """The errors of a probe's greedy readings, pooled."""
    errors = Errors()
    for start in range(0, len(sequences), batch_size):
        batch = sequences[start : start + batch_size]
        codes, lengths, _, _ = pad(batch)
        errors += phone_errors(greedy_decode(probe(codes), lengths), [each.targets.tolist() for each in batch])
    return errors


@torch.no_grad()
def probe_loss(probe: IndexProbe, sequences: Sequence[Coded], batch_size: int = 64) -> float:
    """The CTC loss of a probe in nats per symbol, pooled.

    Where codes tell little a greedy reading is all blanks, and its errors are 100 % whatever else the codes tell.

    Raises:
        ValueError: there is no symbol.
    """
    symbols = sum(len(each.targets) for each in sequences)
    if not symbols:
        raise ValueError("expected at least one symbol to measure the probe on")
    total = 0.0
    for start in range(0, len(sequences), batch_size):
        codes, lengths, targets, target_lengths = pad(sequences[start : start + batch_size])
        loss = ctc_loss(probe(codes), lengths, targets, target_lengths, "token")
        total += loss.item() * int(target_lengths.sum())
    return total / symbols


def pad(sequences: Sequence[Coded]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes (batch, time, num_codebooks), their lengths, targets (batch, symbols) and their lengths, zeros at ends."""
    lengths = [len(each.codes) for each in sequences]
    target_lengths = [len(each.targets) for each in sequences]
    codes = torch.zeros(len(sequences), max(lengths), sequences[0].codes.shape[1], dtype=torch.int64)
    targets = torch.zeros(len(sequences), max(target_lengths), dtype=torch.int64)
    for row, each in enumerate(sequences):
        codes[row, : len(each.codes)] = torch.as_tensor(each.codes, dtype=torch.int64)
        targets[row, : len(each.targets)] = torch.as_tensor(each.targets, dtype=torch.int64)
    return codes, torch.tensor(lengths), targets, torch.tensor(target_lengths)
