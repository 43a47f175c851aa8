import numpy as np
import torch

from vqbn.tasks.images.data import ImageBatches, as_batch


def numbered(count):
    """Images that are their own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3))


def numbers(batch):
    return batch[:, 0, 0, 0].tolist()


def test_an_epoch_is_every_image_once_in_another_order():
    batches = ImageBatches(numbered(10), 4, seed=1)
    stream = [n for update in range(1, 6) for n in numbers(batches.batch(update))]
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10] != stream[10:]
    assert batches.batch(1).shape == (4, 3, 4, 4)


def test_any_start_any_workers_and_any_processes_give_the_same_batches():
    images = numbered(10)
    expected = [ImageBatches(images, 4, seed=1).batch(update) for update in range(1, 9)]
    later = iter(ImageBatches(images, 4, seed=1, start=5))
    for batch in expected[5:]:
        assert torch.equal(next(later), batch)
    shares = [ImageBatches(images, 4, seed=1, rank=rank, world_size=2).batch(3) for rank in (0, 1)]
    assert sorted(numbers(shares[0]) + numbers(shares[1])) == sorted(numbers(expected[2]))
    loader = torch.utils.data.DataLoader(ImageBatches(images, 4, seed=1), batch_size=None, num_workers=2)
    for batch, other in zip(expected, loader, strict=False):
        assert torch.equal(batch, other)


def test_a_batch_has_the_channels_innermost_and_owns_its_memory():
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    batch = as_batch(images)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch[1, 2, 3, 0] == images[1, 3, 0, 2]
    batch.zero_()
    assert images.any()
