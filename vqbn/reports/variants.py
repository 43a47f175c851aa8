"""The configurations that all recipes have: the rows of the paper's tables, and those beside them."""

from collections.abc import Iterable

from vqbn.runs.results import Result

BEST = "best"
# The paper's rows in its order, then what the paper doesn't have.
LABELS = {
    "vanilla": "vanilla VQ",
    "bn": "+ BN",
    "bn_lr": "+ BN + codebook LR",
    "bn_ema": "+ BN + EMA",
    "bn_reest": "+ BN + data-dep. re-estimation",
    "bn_reest_lr": "+ BN + data-dep. re-estimation + codebook LR",
    "none": "no bottleneck",
    BEST: "all three + balanced clusterings (not in the paper)",
}

# Other libraries' quantisers (conf/peers/).
PEER_LABELS = {
    "vqp_ema": "EMA, k-means start, dead codes replaced",
    "rotation": "EMA, rotation trick",
    "cosine": "EMA, cosine codes",
    "simvq": "SimVQ",
    "fsq": "FSQ",
}
# The same behind batch normalisation.
PEER_LABELS |= {f"bn_{name}": f"BN + {label}" for name, label in PEER_LABELS.items()}


def by_name(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Runs grouped by name, sorted by seed: the paper's rows in its order, the peers, then the others by name."""
    order = {name: i for i, name in enumerate([*LABELS, *PEER_LABELS])}
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda r: (order.get(r.name, len(order)), r.name, r.seed)):
        groups.setdefault(result.name, []).append(result)
    return groups


def sized_variant(result: Result) -> tuple[str, int] | None:
    """The variant and K of a run that changes nothing but K (`bn`, `bn-K512`); None for other runs."""
    name, _, change = result.name.partition("-")
    size = result.config.get("vq_codebook_size")
    if size is None or change not in ("", f"K{size}") or result.config.get("bottleneck") == "linear":
        return None
    return name, size
