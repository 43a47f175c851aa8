"""A mini image corpus: 32×32 crops of the two photographs that scikit-learn ships."""

import numpy as np

from vqbn.corpora.cifar10 import SIZE

BLOCK = 2 * SIZE
STEP = 8
SHARES = {"dev": 0.1, "test": 0.1}


def mini_images(seed: int = 0) -> dict[str, np.ndarray]:
    """Crops for training, development and testing that share no pixel between the sets.

    The photographs are cut into blocks of 64×64; each block belongs to one set, and gives the 25 crops that lie in it
    at steps of 8 pixels.

    Args:
        seed: of the blocks' sets.

    Returns:
        `train`, `dev` and `test`: uint8 (images, 32, 32, 3).
    """
    # Imported here: only --data mini needs it.
    from sklearn.datasets import load_sample_images

    blocks = [
        photograph[top : top + BLOCK, left : left + BLOCK]
        for photograph in load_sample_images().images
        for top in range(0, photograph.shape[0] - BLOCK + 1, BLOCK)
        for left in range(0, photograph.shape[1] - BLOCK + 1, BLOCK)
    ]
    order = np.random.default_rng(seed).permutation(len(blocks))
    sets, first = {}, 0
    for name, share in SHARES.items():
        count = round(share * len(blocks))
        sets[name], first = order[first : first + count], first + count
    sets["train"] = order[first:]
    return {name: np.concatenate([crops(blocks[i]) for i in sorted(sets[name])]) for name in ("train", "dev", "test")}


def crops(block: np.ndarray) -> np.ndarray:
    """The crops of a block."""
    starts = range(0, BLOCK - SIZE + 1, STEP)
    return np.stack([block[top : top + SIZE, left : left + SIZE] for top in starts for left in starts])
