"""How well codes stand for phones: phone purity and PNMI, as HuBERT (Hsu et al., 2021, section IV-C) defines them.

Both come from the joint counts of (phone, code) over a whole set. A latent is counted once, with the phone of its
centre frame: latent t stands for frames `subsampling`·t to `subsampling`·t + `subsampling` - 1, of which the centre is
min(`subsampling`·t + `subsampling` // 2, last frame); at the usual 3 that is frame 3t + 1.
"""

import numpy as np

GAP = 0


def latent_phones(segments: np.ndarray, subsampling: int) -> np.ndarray:
    """The phone of each latent's centre frame.

    Args:
        segments: integers (segments, 2): token and length in frames, in order, adding up to the utterance's frames.
        subsampling: frames per latent.

    Returns:
        int64 (ceil(frames / subsampling),) tokens; 0 where no phone covers the frame.
    """
    frames = np.repeat(segments[:, 0], segments[:, 1]).astype(np.int64)
    centres = np.arange(0, len(frames), subsampling) + subsampling // 2
    return frames[np.minimum(centres, len(frames) - 1)]


def joint_codes(codes: np.ndarray, codebook_size: int) -> np.ndarray:
    """One number per latent for its whole tuple of code indices.

    Args:
        codes: integers (latents, num_codebooks), each 0 to `codebook_size` - 1.
        codebook_size: K.

    Returns:
        int64 (latents,); with one codebook the index itself. Tuples that int64 can't number are numbered in their
        sorted order.
    """
    num_codebooks = codes.shape[1]
    if codebook_size**num_codebooks > np.iinfo(np.int64).max:
        return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
    powers = np.array([codebook_size**i for i in range(num_codebooks)], dtype=np.int64)
    return codes.astype(np.int64) @ powers


def phone_purity(phones: np.ndarray, codes: np.ndarray) -> float:
    """The share of latents whose phone is the most frequent one of their code: sum over codes z of max_y p(y, z).

    It rises with the number of codes used, up to 1 where each latent has a code of its own.

    Args:
        phones: integers (latents,), without gaps.
        codes: integers (latents,).

    Returns:
        A share, 0 to 1.

    Raises:
        ValueError: there is no latent, or the two differ in length.
    """
    _, code_of_pair, count = joint_counts(phones, codes)
    starts = np.flatnonzero(np.r_[True, code_of_pair[1:] != code_of_pair[:-1]])
    return float(np.maximum.reduceat(count, starts).sum() / count.sum())


def pnmi(phones: np.ndarray, codes: np.ndarray) -> float:
    """Phone-normalised mutual information: I(phone; code) / H(phone), the share of the phones' uncertainty removed.

    Args:
        phones: integers (latents,), without gaps.
        codes: integers (latents,).

    Returns:
        A share, 0 to 1; NaN where there is only one phone, whose entropy is 0.

    Raises:
        ValueError: there is no latent, or the two differ in length.
    """
    phone, code, count = joint_counts(phones, codes)
    _, phone = np.unique(phone, return_inverse=True)
    _, code = np.unique(code, return_inverse=True)
    p_joint = count / count.sum()
    p_phone = np.bincount(phone, weights=p_joint)
    p_code = np.bincount(code, weights=p_joint)
    if len(p_phone) == 1:
        return float("nan")
    information = np.sum(p_joint * np.log(p_joint / (p_phone[phone] * p_code[code])))
    entropy = -np.sum(p_phone * np.log(p_phone))
    return float(min(max(information / entropy, 0.0), 1.0))


def joint_counts(phones: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The non-zero cells of the joint count matrix, sorted by code and then phone.

    Returns:
        phone, code and count of each cell, int64 (cells,): at most as many cells as latents, whatever K is.
    """
    if len(phones) != len(codes) or not len(phones):
        raise ValueError(f"expected as many phones as codes and at least one, found {len(phones)} and {len(codes)}")
    pairs, count = np.unique(np.stack([codes, phones], axis=1), axis=0, return_counts=True)
    return pairs[:, 1], pairs[:, 0], count
