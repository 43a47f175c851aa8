"""vqbn: vector-quantised bottlenecks that do not collapse."""

from vqbn.version import __version__

__all__ = ["__version__"]
