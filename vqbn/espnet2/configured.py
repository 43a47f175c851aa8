"""From the nested keys of an ESPnet YAML to a bottleneck."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping

from torch import nn

from vqbn import LinearBottleneck, ReestimationSchedule, VQBottleneck
from vqbn.errors import InputError

# What the encoder that the bottleneck is in decides.
DECIDED = ("input_dim", "code_dim", "projection")


def build_bottleneck(
    kind: str, input_dim: int, code_dim: int, conf: Mapping[str, object], where: str = "encoder_conf"
) -> nn.Module:
    """The bottleneck that `bottleneck` and `bottleneck_conf` describe.

    Args:
        kind: "vq", or "linear" for the row "no bottleneck", which takes no `conf`.
        input_dim: dimension of the encoder's outputs.
        code_dim: dimension of what comes out.
        conf: arguments of `VQBottleneck` by name; `reestimation` is a mapping of those of `ReestimationSchedule`.
        where: the key that holds these, for messages.

    Raises:
        InputError: a key or a value is wrong.
    """
    if kind not in ("vq", "linear"):
        raise InputError(f"{where}: bottleneck: found '{kind}', expected vq or linear")
    place = f"{where}: bottleneck_conf"
    if kind == "linear":
        if conf:
            raise InputError(
                f"{place}: found {next(iter(conf))}, expected nothing: a linear bottleneck has no codebook"
            )
        return LinearBottleneck(input_dim, code_dim)
    given = dict(check_keys(conf, VQBottleneck, place, DECIDED))
    if "codebook_size" not in given:
        raise InputError(f"{place}: codebook_size: not given; expected how many codewords")
    schedule = given.get("reestimation")
    if schedule is not None:
        place_of = f"{place}: reestimation"
        if not isinstance(schedule, Mapping):
            raise InputError(f"{place_of}: found {schedule!r}, expected the keys start, until and every, in updates")
        given["reestimation"] = _made(
            ReestimationSchedule, check_keys(schedule, ReestimationSchedule, place_of), place_of
        )
    # A clustering takes seconds, in which ESPnet's log would otherwise stand still.
    return _made(VQBottleneck, {"verbose": True, **given, "input_dim": input_dim, "code_dim": code_dim}, place)


def check_keys(
    conf: Mapping[str, object],
    function: Callable,
    where: str,
    without: Iterable[str] = (),
    also: Iterable[str] = (),
) -> Mapping[str, object]:
    """`conf`, if all its keys are arguments of `function`.

    Args:
        conf: by name.
        function: a function or a class.
        where: the key that holds `conf`, for the message.
        without: arguments that are not to be given.
        also: keys that are no arguments.

    Raises:
        InputError: a key is none; names it.
    """
    names = [*(name for name in inspect.signature(function).parameters if name not in without), *also]
    for name in conf:
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1)
            advice = f"did you mean {close[0]}?" if close else f"expected some of {', '.join(names)}"
            raise InputError(f"{where}: {name}: no such key; {advice}")
    return conf


def _made(kind: Callable, given: Mapping[str, object], where: str) -> object:
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error} (YAML reads 1e-2 as text: write 1.0e-2)") from error
