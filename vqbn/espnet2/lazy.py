"""Importing a package when it is first used, not when somebody imports it."""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType


class Later(ModuleType):
    """Stands for a package until one of its names is looked up.

    Python's own `LazyLoader` would load it as soon as `inspect` goes through all modules, which it does for ESPnet's
    checks of types.
    """

    def __getattr__(self, name: str) -> object:
        # Nobody uses a package by asking for these.
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_lazily(package: str) -> None:
    """Let `import package` give a module that is loaded when one of its names is looked up.

    Nothing happens where the package is not installed, or was imported already.

    Args:
        package: its name.
    """
    if package not in sys.modules and (spec := find_spec(package)) is not None:
        module = Later(package)
        module.__spec__ = spec
        sys.modules[package] = module
