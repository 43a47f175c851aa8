"""Prefix beam search: the likeliest symbols, summed over the ways in which CTC can spell them."""

import numpy as np
import torch

from vqbn.nets.best_path import BLANK, greedy_decode

ROOT = 0


def beam_decode(log_probs: torch.Tensor, lengths: torch.Tensor, beam: int) -> list[list[int]]:
    """Search for the most probable symbols of each sequence (Graves & Jaitly, 2014, without a language model).

    A frame-by-frame reading takes the best path; here the paths of the same symbols add up. With a beam of all prefixes
    the result is exact.

    Args:
        log_probs: (batch, frames, vocabulary) log posteriors; index 0 is blank.
        lengths: (batch,) valid frames of each sequence; what follows them is not read.
        beam: how many prefixes are kept after each frame, 1 or more.

    Returns:
        One list of symbol indices (1 and up) per sequence.

    Raises:
        ValueError: shapes don't fit, a length is negative or longer than the frames there are, or `beam` is below 1.
    """
    if beam < 1:
        raise ValueError(f"a beam of {beam}; expected 1 or more prefixes")
    greedy_decode(log_probs[:, :0], torch.zeros_like(lengths))  # the same complaints about shapes
    frames = log_probs.detach().to("cpu", torch.float64).numpy()
    decoded = []
    for sequence, length in zip(frames, lengths.tolist(), strict=True):
        if not 0 <= length <= len(sequence):
            raise ValueError(f"a length of {length} for a sequence of {len(sequence)} frames")
        decoded.append(_search(sequence[:length], beam))
    return decoded


def _search(log_probs: np.ndarray, beam: int) -> list[int]:
    """Search one sequence (frames, vocabulary)."""
    # Prefixes are nodes of a tree: each has its parent, its last symbol and its children.
    parents, symbols, children = [-1], [BLANK], {}
    nodes = np.array([ROOT])
    # Log probability of the paths so far that spell the node's prefix and end in blank, or in its last symbol.
    blank, symbol = np.array([0.0]), np.array([-np.inf])
    for frame in log_probs:
        last = np.array([symbols[node] for node in nodes])
        total = np.logaddexp(blank, symbol)
        stay_blank = total + frame[BLANK]
        stay_symbol = np.where(last == BLANK, -np.inf, symbol + frame[last])
        # Every prefix with every further symbol; its own last symbol again needs a blank in between.
        longer = total[:, None] + frame
        rows = np.arange(len(nodes))
        longer[rows, last] = np.where(last == BLANK, -np.inf, blank + frame[last])
        longer[:, BLANK] = -np.inf
        place = {node: row for row, node in enumerate(nodes.tolist())}
        for row, node in enumerate(nodes.tolist()):
            parent = place.get(parents[node])
            if parent is not None:  # the same prefix, made from a shorter one that is in the beam too
                stay_symbol[row] = np.logaddexp(stay_symbol[row], longer[parent, last[row]])
                longer[parent, last[row]] = -np.inf
        scores = np.concatenate([np.logaddexp(stay_blank, stay_symbol), longer.ravel()])
        best = np.argsort(-scores, kind="stable")[:beam]
        best = best[scores[best] > -np.inf]
        if not len(best):
            break  # no path has any probability: what is there is as good as anything
        kept, kept_blank, kept_symbol = [], [], []
        for choice in best.tolist():
            if choice < len(nodes):
                kept.append(int(nodes[choice]))
                kept_blank.append(stay_blank[choice])
                kept_symbol.append(stay_symbol[choice])
                continue
            row, token = divmod(choice - len(nodes), len(frame))
            edge = (int(nodes[row]), token)
            if edge not in children:
                children[edge] = len(parents)
                parents.append(edge[0])
                symbols.append(token)
            kept.append(children[edge])
            kept_blank.append(-np.inf)
            kept_symbol.append(longer[row, token])
        nodes, blank, symbol = np.array(kept), np.array(kept_blank), np.array(kept_symbol)
    node = int(nodes[np.argmax(np.logaddexp(blank, symbol))])
    prefix = []
    while node != ROOT:
        prefix.append(symbols[node])
        node = parents[node]
    return prefix[::-1]
