"""Whether a folder of results files holds a run, told by its configuration before there is anything of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vqbn.runs.config import configuration_hash, decisive
from vqbn.runs.keys import Key
from vqbn.runs.results import check_same_run, find_result


def kept_result(config: Mapping[str, object], keys: Sequence[Key]) -> Path | None:
    """The file in the configuration's `results` that holds its run; None: there is none, or no such folder.

    Raises:
        InputError: no file holds it, but one has the name that its file would have; or a file is malformed.
    """
    kept = find_result(config["results"], configuration_hash(config, keys)) if config["results"] else None
    if kept is None:
        check_name(config, keys)
    return kept


def check_name(config: Mapping[str, object], keys: Sequence[Key]) -> None:
    """Check that the results file of this run's name, where there is one, is of the same configuration.

    Raises:
        InputError: it is of another one.
    """
    if config["results"]:
        named = Path(config["results"]) / f"{Path(config['expdir']).absolute().name}.json"
        check_same_run(named, configuration_hash(config, keys), decisive(config, keys))
