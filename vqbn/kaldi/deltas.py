"""Delta features: how the features change over time, as Kaldi's add-deltas computes them."""

import numpy as np

CHANNELS = 3  # static, delta, delta-delta


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


def scale_and_shift(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What normalises features of this float64 mean and standard deviation: they are multiplied and added; float32."""
    return (1 / std).astype(np.float32), (-mean / std).astype(np.float32)


def to_channels(features: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Normalise features with their derivatives, in place, and lay them out as a network sees them.

    Args:
        features: float32 (frames, CHANNELS · height), as `add_deltas` gives them.
        scale: float32 (CHANNELS · height,).
        shift: as `scale`.

    Returns:
        float32 (frames, height, CHANNELS): height and channels as an image's height and colours.
    """
    features *= scale
    features += shift
    # From (frames, channels · height).
    return features.reshape(len(features), CHANNELS, -1).transpose(0, 2, 1)


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
