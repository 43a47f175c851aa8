"""The configuration of a training run: its files and the command line."""

import argparse
import difflib
import hashlib
import json
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import configargparse
import yaml

import vqbn
from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.runs.keys import Key

# Written into every config.yaml as a record; ignored where a configuration is read.
RECORDS = ("git_commit", "lightning_version", "numpy_version", "python_version", "torch_version", "vqbn_version")
# What another library's layer does not have, and the value that says so.
NOT_OF_PEERS = {
    "vq_num_codebooks": 1,
    "vq_update": "gradient",
    "codebook_learning_rate": 0,
}


Check = Callable[[Mapping[str, object]], tuple[str, str] | None]


def parse_arguments(
    argv: Sequence[str], prog: str, description: str, keys: Sequence[Key], check: Check = lambda config: None
) -> dict[str, object]:
    """The configuration that a command line and the files it names give.

    Files are read in the order of their `--config`; later ones win over earlier ones, the command line over all.

    Args:
        argv: arguments without the command's name.
        prog: the command's name.
        description: for `--help`.
        keys: those of the task.
        check: as `Task.check`: a key whose value does not go with the others and what is wrong, or None.

    Returns:
        Every key of `keys`, with its value.

    Raises:
        InputError: a file is unreadable or malformed, or a key or value is wrong; names file and line, or the option.
    """
    files = first_options(argv).config
    origins: dict[str, str] = {}
    for path in files:
        for name, (_, line) in read_config(path, keys, prog).items():
            origins[name] = f"{path}:{line}: {name}"
    parser = make_parser(prog, description, files, keys)
    options = vars(parser.parse_args(list(argv)))
    names = [key.name for key in keys]
    given = {name for name in names if any(arg == f"--{name}" or arg.startswith(f"--{name}=") for arg in argv)}
    origins |= {name: f"--{name}" for name in given}
    config: dict[str, object] = {}
    for key in keys:
        value = options[key.name]
        if value is None:
            raise InputError(f"--{key.name}: not given; expected {key.expected} ({key.help})")
        try:
            config[key.name] = key.parse(value) if key.name in origins else value
        except ValueError as error:
            raise InputError(f"{origins[key.name]}: {error}") from error
    if config["reestimation_until"] == "end":
        config["reestimation_until"] = config["max_updates"]
    config["init_from_hash"] = contents_hash(config["init_from"], config["init_from_hash"])
    check_together(config, origins)
    if found := check(config):
        name, problem = found
        raise InputError(f"{origins.get(name, name)}: {problem}")
    return config


def contents_hash(path: str, recorded: str) -> str:
    """Twelve hexadecimal digits that stand for the contents of the file `init_from`; "" where none is given.

    Args:
        path: the file, or "".
        recorded: what a run's config.yaml says of it, or "".

    Raises:
        InputError: the file is not the recorded one, or it is missing and nothing is recorded.
    """
    if not path:
        if recorded:
            raise InputError(f"init_from_hash: found {recorded}, expected nothing where init_from is not given")
        return ""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        # A run that has begun does not need it any more.
        if recorded and isinstance(error, FileNotFoundError):
            return recorded
        raise InputError(f"init_from: {path}: can't be read: {error.strerror}; expected a .ckpt file") from error
    if recorded not in ("", found):
        raise InputError(
            f"init_from: {path}: has the hash {found}, expected {recorded} (init_from_hash): it is another file than "
            "the run began with; give that one, or leave init_from_hash out"
        )
    return found


def first_options(argv: Sequence[str]) -> argparse.Namespace:
    """What the other options depend on: `config`, the files, `task` or None, and `help`, whether it is asked for.

    Raises:
        InputError: one of them has no value.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config", action="append", default=[])
    first.add_argument("--task")
    first.add_argument("-h", "--help", action="store_true")
    try:
        return first.parse_known_args(argv)[0]
    except argparse.ArgumentError as error:
        raise InputError(f"{error.argument_name}: {error.message}") from error


def make_parser(prog: str, description: str, files: Sequence[str], keys: Sequence[Key]) -> argparse.ArgumentParser:
    """A parser with an option per key and the files' values as defaults; values are left as text."""
    parser = OptionParser(
        prog=prog,
        description=description,
        default_config_files=list(files),
        config_file_parser_class=file_parser(keys, prog),
        ignore_unknown_config_file_keys=True,
        add_config_file_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="append", metavar="FILE", help="A file of keys; repeatable, later ones win.")
    for key in keys:
        default = "needed" if key.default is None else f"default: {key.default}"
        parser.add_argument(
            f"--{key.name}",
            default=key.default,
            nargs="*" if key.many else None,
            metavar="VALUE",
            help=f"{key.help} {key.expected[0].upper()}{key.expected[1:]} ({default}).".replace("%", "%%"),
        )
    return parser


class OptionParser(configargparse.ArgumentParser):
    """A parser whose complaints are one line, as those about files."""

    def error(self, message: str) -> None:
        raise InputError(f"{message}; {self.prog} --help lists the options")


def file_parser(keys: Sequence[Key], prog: str) -> type[configargparse.ConfigFileParser]:
    """A class, as ConfigArgParse wants one, that gives it what `read_config` reads."""

    class TextConfigParser(configargparse.ConfigFileParser):
        """Values are left as text: YAML's own types turn 1e-3 into a string."""

        def get_syntax_description(self) -> str:
            return "Files hold lines 'key: value'."

        def parse(self, stream) -> dict[str, object]:
            return {name: value for name, (value, _) in read_config(stream.name, keys, prog).items()}

    return TextConfigParser


def read_config(path: str | Path, keys: Sequence[Key], prog: str = "vqbn-train") -> dict[str, tuple[object, int]]:
    """Read and check a file of `key: value` lines.

    Args:
        path: the file.
        keys: those that it may hold.
        prog: the command whose `--help` lists them.

    Returns:
        Key → its text, or list of texts, and its line.

    Raises:
        InputError: naming the file, and the line of a key that is unknown, a duplicate, or has an impossible value.
    """
    by_name = {key.name: key for key in keys}
    renamed = {key.formerly: key.name for key in keys if key.formerly}
    entries: dict[str, tuple[object, int]] = {}
    for written, (value, line) in read_entries(path).items():
        name = renamed.get(written, written)
        if name in entries:
            raise InputError(f"{path}:{line}: {written}: also on line {entries[name][1]}; remove one of them")
        if name in by_name:
            try:
                by_name[name].parse(value)
            except ValueError as error:
                raise InputError(f"{path}:{line}: {written}: {error}") from error
            entries[name] = (value, line)
        elif name not in RECORDS:
            raise InputError(f"{path}:{line}: {name}: no such key{suggestion(name, by_name, prog)}")
    return entries


def read_entries(path: str | Path) -> dict[str, tuple[object, int]]:
    """Read a file of `key: value` lines, whatever the keys.

    Returns:
        Key → its text, or list of texts, and its line.

    Raises:
        InputError: naming the file, and the line of what is malformed or a duplicate.
    """
    path = Path(path)
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; --config names a file of keys") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a configuration: not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not YAML: {error.problem}; expected lines 'key: value'") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}; expected lines 'key: value'") from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise InputError(f"{path}:{root.start_mark.line + 1}: expected lines 'key: value'")
    entries: dict[str, tuple[object, int]] = {}
    for name_node, node in root.value:
        line = name_node.start_mark.line + 1
        name = str(name_node.value)
        if name in entries:
            raise InputError(f"{path}:{line}: {name}: also on line {entries[name][1]}; remove one of them")
        entries[name] = (node_text(node), line)
    return entries


def node_text(node: yaml.Node) -> object:
    """A scalar's text, or the texts of a list; what is neither as a word that no key accepts."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [item.value for item in node.value]
    return "(nested)" if not isinstance(node, yaml.SequenceNode) else ["(nested)"]


def suggestion(name: str, names: Iterable[str], prog: str) -> str:
    """What the user may have meant, as the end of a message."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; {prog} --help lists the keys"


def check_together(config: Mapping[str, object], origins: Mapping[str, str]) -> None:
    """Raise InputError where keys that are possible alone don't go together; the message names the one to change."""

    def refuse(name: str, problem: str) -> None:
        raise InputError(f"{origins.get(name, name)}: {problem}")

    if config["vq_code_dim"] % config["vq_num_codebooks"]:
        refuse(
            "vq_num_codebooks",
            f"found {config['vq_num_codebooks']}, expected a divisor of vq_code_dim ({config['vq_code_dim']})",
        )
    if config.get("bottleneck", "vq") == "vq" and config["reestimation"]:
        start, until = config["reestimation_start"], config["reestimation_until"]
        if until < start:
            refuse("reestimation_until", f"found {until}, expected at least reestimation_start ({start})")
        if start > config["max_updates"]:
            refuse("reestimation_start", f"found {start}, expected at most max_updates ({config['max_updates']})")
        size = config["vq_reservoir_size"]
        if 0 < size < config["vq_codebook_size"]:
            refuse(
                "vq_reservoir_size",
                f"found {size}, expected 0 or at least vq_codebook_size ({config['vq_codebook_size']})",
            )
    elif config["reestimation"]:
        kind = config["bottleneck"]
        refuse("reestimation", f"found true, expected false: a {kind} bottleneck has no codebook of ours")
    if config.get("bottleneck") == "peer":
        for name, value in NOT_OF_PEERS.items():
            if config[name] != value:
                refuse(name, f"found {config[name]}, expected {value}: a peer's layer has no such thing")
    longer, every = config["continue_to"], config["validate_every"]
    if longer and longer <= config["max_updates"]:
        refuse("continue_to", f"found {longer}, expected 0 or more than max_updates ({config['max_updates']})")
    # The last update is evaluated: at another one a run that goes on once more would differ from one that went through.
    if longer % every:
        refuse(
            "continue_to",
            f"found {longer}, expected a multiple of validate_every ({every}), such as {longer + -longer % every}",
        )
    milestones = config["lr_milestones"]
    if milestones != sorted(set(milestones)):
        refuse("lr_milestones", f"found {milestones}, expected rising numbers")
    if config["ngpu"] > 1 and config["batch_size"] % config["ngpu"]:
        refuse("batch_size", f"found {config['batch_size']}, expected a multiple of ngpu ({config['ngpu']})")


def configuration_hash(config: Mapping[str, object], keys: Sequence[Key]) -> str:
    """Twelve hexadecimal digits that stand for everything in a configuration that a result depends on."""
    later = {key.name for key in keys if key.since_first and config[key.name] == key.default}
    hashed = {name: value for name, value in decisive(config, keys).items() if name not in later}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:12]


def decisive(config: Mapping[str, object], keys: Sequence[Key]) -> dict[str, object]:
    """The part of a configuration that a result depends on."""
    return {key.name: config[key.name] for key in keys if key.matters(config)}


def recorded_config(path: str | Path, keys: Sequence[Key]) -> tuple[dict[str, object], str]:
    """A run's config.yaml: every key's value, and the git commit that trained it.

    Raises:
        InputError: the file is unreadable or malformed.
    """
    given = {name: value for name, (value, _) in read_config(path, keys).items()}
    config = {key.name: key.parse(given[key.name]) if key.name in given else key.default for key in keys}
    recorded = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    return config, str(recorded.get("git_commit", "unknown"))


def first_difference(config: Mapping[str, object], other: Mapping[str, object], keys: Sequence[Key]) -> str | None:
    """The first key that a result depends on and in which two configurations differ; None: there is none."""
    for key in keys:
        if key.matters(config) and config[key.name] != other.get(key.name, key.default if key.since_first else None):
            return key.name
    return None


def write_config(path: str | Path, config: Mapping[str, object]) -> None:
    """Write every key and, as records, the versions of what computes and the git commit; `--config` takes the file."""
    lines = [f"{name}: {yaml_value(value)}" for name, value in config.items()]
    lines += ["", "# A record of what wrote this; not read."]
    lines += [f"{name}: {yaml_value(value)}" for name, value in records().items()]
    write_text(path, "\n".join(lines) + "\n")


def yaml_value(value: object) -> str:
    """A value in YAML, on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def records() -> dict[str, str]:
    """Versions, and the git commit of the package's code ("+" after it: with uncommitted changes)."""
    import lightning
    import numpy
    import torch

    return {
        "git_commit": git_commit(),
        "lightning_version": lightning.__version__,
        "numpy_version": numpy.__version__,
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "vqbn_version": vqbn.__version__,
    }


def git_commit() -> str:
    """The commit that the package's folder has checked out; "unknown" outside a git repository."""
    folder = Path(vqbn.__file__).parent
    try:
        git = ["git", "-C", str(folder)]
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "."],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")
