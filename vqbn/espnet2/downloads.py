"""Importing a package that fetches data of NLTK's when it is imported."""

import importlib


def import_without_downloads(package: str) -> None:
    """Import a package while `nltk.download` does nothing; do nothing where the package or NLTK is not installed.

    What needs the data later says itself how to get it.

    Args:
        package: its name.
    """
    try:
        import nltk
    except ImportError:
        return
    download = nltk.download
    nltk.download = lambda *args, **kwargs: False
    try:
        importlib.import_module(package)
    except ImportError:
        pass
    finally:
        nltk.download = download
