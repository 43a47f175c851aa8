"""Delta features: how the features change over time, as Kaldi's add-deltas computes them."""

import numpy as np


def delta_kernels(order: int = 2, window: int = 2) -> list[np.ndarray]:
    """Give the filters of the static features and their derivatives up to `order`.

    Each derivative is the regression slope over `window` frames on either side, so its filter is the one before,
    convolved with (-window, ..., window) / sum of squares.

    Returns:
        For each order from 0, a float64 array of 2·order·window + 1 weights, earliest frame first.
    """
    slope = np.arange(-window, window + 1, dtype=np.float64)
    slope /= (slope**2).sum()
    kernels = [np.ones(1)]
    for _ in range(order):
        kernels.append(np.convolve(kernels[-1], slope))
    return kernels


def add_deltas(features: np.ndarray, order: int = 2, window: int = 2) -> np.ndarray:
    """Append the derivatives of the features: static, delta, delta-delta.

    Frames before the first and after the last are copies of those; the second derivative sees the padded static
    features, not a padded first derivative.

    Args:
        features: (frames, dims).
        order: how many derivatives.
        window: frames on either side that one derivative looks at.

    Returns:
        float32 (frames, dims · (order + 1)).
    """
    frames, dims = features.shape
    result = np.empty((frames, dims * (order + 1)), dtype=np.float32)
    if frames == 0:
        return result
    result[:, :dims] = features
    reach = order * window
    padded = np.pad(np.asarray(features, dtype=np.float32), ((reach, reach), (0, 0)), mode="edge")
    for number, kernel in enumerate(delta_kernels(order, window)[1:], 1):
        block = result[:, number * dims : (number + 1) * dims]
        block[:] = 0
        first = reach - number * window
        for shift, weight in enumerate(kernel):
            if weight:
                block += np.float32(weight) * padded[first + shift : first + shift + frames]
    return result
