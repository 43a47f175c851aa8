"""Batches of pieces of lines."""

import numpy as np
import pytest

from vqbn.tasks.handwriting.data import LineChunks, whole_lines


class Lines:
    """A set of lines whose pixels say which line and column they are."""

    levels, height = 4, 32

    def __init__(self, columns: list[int]):
        self.columns = np.array(columns)

    def __len__(self) -> int:
        return len(self.columns)

    def pixels(self, line: int, start: int = 0, columns: int | None = None) -> np.ndarray:
        every = np.zeros((self.columns[line], 32), dtype=np.uint8)
        every[:, 0], every[:, 1] = line, np.arange(len(every))
        return every[start:] if columns is None else every[start : start + columns]


LINES = Lines([50, 20, 200, 130, 90, 128, 127])


def test_an_epoch_takes_as_many_chunks_of_each_line():
    chunks = LineChunks(LINES, batch_size=4, chunk_columns=64, chunks_per_line=4, seed=3)
    batches = [chunks.batch(update) for update in range(1, 8)]
    lines = np.concatenate([batch.pixels[:, 0, 0] for batch in batches])
    assert np.bincount(lines).tolist() == [4] * 7
    starts = {int(row[0, 1]) for batch in batches for row in batch.pixels if row[0, 0] == 2}
    assert len(starts) > 1


def test_a_narrow_line_is_taken_whole_and_padded_with_paper():
    for batch in (LineChunks(LINES, 7, 64, 1).batch(update) for update in (1, 2)):
        for row, length in zip(batch.pixels.numpy(), batch.lengths.tolist(), strict=True):
            line = row[0, 0]
            assert length == min(64, LINES.columns[line])
            assert (row[length:] == 3).all()
            np.testing.assert_array_equal(row[:length, 1] - row[0, 1], np.arange(length))


def test_the_last_place_in_a_line_is_possible():
    lines = Lines([66])
    starts = {LineChunks(lines, 1, 64, 1).chunk(epoch, 0)[1] for epoch in range(60)}
    assert starts == {0, 1, 2}


@pytest.mark.parametrize("start", [0, 1, 5])
def test_batches_go_on_from_any_update(start):
    whole = iter(LineChunks(LINES, 3, 64, 4, seed=1))
    expected = [next(whole) for _ in range(start + 3)][start:]
    again = iter(LineChunks(LINES, 3, 64, 4, seed=1, start=start))
    for batch in expected:
        other = next(again)
        assert (batch.pixels == other.pixels).all()
        assert (batch.lengths == other.lengths).all()


def test_processes_share_a_batch():
    whole = LineChunks(LINES, 4, 64, 4).batch(2).pixels
    parts = [LineChunks(LINES, 4, 64, 4, rank=rank, world_size=2).batch(2).pixels for rank in range(2)]
    for rank, part in enumerate(parts):
        assert (part == whole[rank::2]).all()


def test_whole_lines_are_there_once_and_unchanged():
    seen = {}
    for numbers, batch in whole_lines(LINES, batch_columns=260):
        assert batch.pixels.shape[0] * batch.pixels.shape[1] <= 260
        for number, row, length in zip(numbers, batch.pixels.numpy(), batch.lengths.tolist(), strict=True):
            seen[number] = row[:length]
    assert sorted(seen) == list(range(len(LINES)))
    for number, row in seen.items():
        np.testing.assert_array_equal(row, LINES.pixels(number))
