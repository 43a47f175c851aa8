"""New codewords under old numbers."""

import torch

from vqbn.bottleneck.lookup import nearest_codes

# Each round pairs those that are nearest to one another; few are left after some rounds.
_ROUNDS = 16


def match_codes(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Number new codewords so that an index keeps its meaning where it can.

    A new and an old codeword that are each other's nearest are paired; this is repeated with those that are left,
    and what is left in the end is paired in its order.

    Args:
        new: codewords, (K, D).
        old: the codewords that they replace, (K, D).

    Returns:
        int64 (K,), a permutation: entry i is the row of `new` that gets the number i.
    """
    order = torch.full((len(old),), -1, dtype=torch.int64, device=new.device)
    new_left = old_left = torch.arange(len(old), device=new.device)
    for _ in range(_ROUNDS):
        if len(new_left) == 0:
            break
        to_old = nearest_codes(new[new_left], old[old_left])
        to_new = nearest_codes(old[old_left], new[new_left])
        mutual = to_new[to_old] == torch.arange(len(new_left), device=new.device)
        order[old_left[to_old[mutual]]] = new_left[mutual]
        old_kept = torch.ones_like(mutual)
        old_kept[to_old[mutual]] = False
        new_left, old_left = new_left[~mutual], old_left[old_kept]
    order[old_left] = new_left
    return order
