"""A uniform sample of all vectors seen, in bounded memory."""

import math

import numpy as np
import torch


class Reservoir:
    """Vitter's algorithm R: after any number of vectors, a uniform sample without replacement of all of them.

    The sample depends on the vectors' order and the generator, not on how they were split into batches, nor on the
    device. Random numbers are drawn on the CPU; the vectors stay on the device of the first ones stored.

    `draw` and `write` are `add` in two steps. Where several processes keep one reservoir, each draws for the rows of
    all of them, and only the rows that were accepted are sent and written.

    Args:
        capacity: how many vectors are kept.
        dim: their dimension D.
        generator: a CPU generator; one of its own, seeded with 0, by default.

    Raises:
        ValueError: `capacity` or `dim` isn't positive.

    Attributes:
        count: how many vectors were seen since the last `reset`.
    """

    def __init__(self, capacity: int, dim: int, generator: torch.Generator | None = None):
        if capacity < 1 or dim < 1:
            raise ValueError(f"capacity and dim must be positive, not {capacity} and {dim}")
        self.capacity = capacity
        self.dim = dim
        self.generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.count = 0
        self._vectors: torch.Tensor | None = None

    def __len__(self) -> int:
        """How many vectors are stored."""
        return min(self.count, self.capacity)

    def __repr__(self) -> str:
        return f"Reservoir(capacity={self.capacity}, dim={self.dim}, stored={len(self)}, seen={self.count})"

    def add(self, x: torch.Tensor) -> None:
        """Show the reservoir vectors, float (N, D); those with a non-finite value are passed over, uncounted."""
        if x.dim() != 2 or x.shape[1] != self.dim:
            raise ValueError(f"the reservoir takes vectors (N, {self.dim}), not {tuple(x.shape)}")
        x = x.detach()
        # The sum of a row is finite almost always and costs a tenth of looking at every value.
        if not math.isfinite(x.sum()):
            x = x[x.isfinite().all(1)]
        slots, rows = self.draw(len(x))
        self.write(slots, x[rows.to(x.device)])

    def draw(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Decide which of the next `n` vectors are kept, and where; they count as seen.

        Args:
            n: how many vectors come next.

        Returns:
            slots: int64 (m,), all different, in 0..capacity-1.
            rows: int64 (m,), ascending: which of the `n` vectors goes to each slot.
            Both on the CPU.
        """
        filling = min(n, self.capacity - len(self))
        # The vector that is the i-th seen is kept with probability capacity / i, in a slot chosen at random.
        seen = np.arange(self.count + filling + 1, self.count + n + 1, dtype=np.float64)
        uniform = torch.rand(n - filling, dtype=torch.float64, generator=self.generator).numpy()
        chosen = (uniform * seen).astype(np.int64)
        accepted = np.flatnonzero(chosen < self.capacity)
        slots = np.concatenate([np.arange(self.count, self.count + filling), chosen[accepted]])
        rows = np.concatenate([np.arange(filling), filling + accepted])
        # A slot that is written more than once keeps the last; numpy assigns in order.
        writer = np.empty(self.capacity, dtype=np.int64)
        writer[slots] = rows
        last = writer[slots] == rows
        self.count += n
        return torch.from_numpy(slots[last]), torch.from_numpy(rows[last])

    def write(self, slots: torch.Tensor, vectors: torch.Tensor) -> None:
        """Store what `draw` accepted.

        Args:
            slots: int64 (m,), as `draw` gave them.
            vectors: float (m, D), the rows that it named, in its order.
        """
        if self._vectors is None:
            # A tensor that was made in inference mode could not be written to outside.
            with torch.inference_mode(False):
                self._vectors = torch.empty(self.capacity, self.dim, dtype=torch.float32, device=vectors.device)
        self._vectors[slots.to(self._vectors.device)] = vectors.detach().to(self._vectors)

    def sample(self) -> torch.Tensor:
        """The vectors stored, float32 (len, D): a copy."""
        if self._vectors is None:
            return torch.empty(0, self.dim)
        return self._vectors[: len(self)].clone()

    def reset(self) -> None:
        """Forget all vectors; the generator goes on from where it is."""
        self.count = 0
        self._vectors = None

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that decides the future: `vectors` float32 (len, D), `count` int64 (), `generator` uint8 (B,)."""
        return {
            "vectors": self.sample(),
            "count": torch.tensor(self.count),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from `state` as if there had been no interruption.

        Raises:
            ValueError: `state` is of a reservoir with another capacity or dimension.
            KeyError: something is missing from `state`.
        """
        vectors, count, generator = state["vectors"], int(state["count"]), state["generator"]
        expected = (min(count, self.capacity), self.dim)
        if tuple(vectors.shape) != expected:
            raise ValueError(
                f"the state holds {tuple(vectors.shape)} vectors; with {count} seen, a reservoir of capacity "
                f"{self.capacity} and dimension {self.dim} holds {expected}"
            )
        self.reset()
        self.count = count
        self.write(torch.arange(len(vectors)), vectors)
        self.generator.set_state(generator.cpu())
