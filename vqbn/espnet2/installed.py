"""Whether there is an ESPnet, and one that this package was tried with."""

from importlib.metadata import PackageNotFoundError, version

from vqbn.errors import InputError

# What we subclass is no stable interface: a version is added here once the tests pass with it.
KNOWN = ("202511",)


def require_espnet() -> None:
    """Check the installed ESPnet's version without importing it.

    Raises:
        InputError: there is none, or it is not one of `KNOWN`.
    """
    advice = f"install espnet=={KNOWN[-1]} (tools/setup.sh --extras recipes,espnet)"
    try:
        found = version("espnet")
    except PackageNotFoundError:
        raise InputError(f"ESPnet is not installed; versions known to work: {', '.join(KNOWN)}; {advice}") from None
    if found not in KNOWN:
        raise InputError(f"ESPnet {found} is installed; versions known to work: {', '.join(KNOWN)}; {advice}")
