"""vqbn: vector-quantised bottlenecks that do not collapse."""

import importlib
from typing import TYPE_CHECKING

from vqbn.version import __version__

if TYPE_CHECKING:
    from vqbn.bottleneck import (
        LinearBottleneck,
        ReestimationSchedule,
        Reservoir,
        VQBottleneck,
        diagnose,
        kmeans,
        nearest_codes,
        parameter_groups,
        perplexity,
        uniform_nelbo,
        unigram_nelbo,
    )

__all__ = [
    "LinearBottleneck",
    "ReestimationSchedule",
    "Reservoir",
    "VQBottleneck",
    "__version__",
    "diagnose",
    "kmeans",
    "load",
    "nearest_codes",
    "parameter_groups",
    "perplexity",
    "uniform_nelbo",
    "unigram_nelbo",
]


def __getattr__(name: str):
    if name == "load":
        # By name, since everything else in the package imports this module.
        return importlib.import_module("vqbn.tasks").load_model
    # Looked up when first used: commands that need no torch start without its seconds of import.
    if name in __all__:
        import vqbn.bottleneck

        return getattr(vqbn.bottleneck, name)
    raise AttributeError(f"module 'vqbn' has no attribute {name!r}")
