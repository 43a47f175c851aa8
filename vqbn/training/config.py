"""The configuration of a training run: its keys, its files and the command line."""

import argparse
import difflib
import hashlib
import json
import math
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import configargparse
import yaml

import vqbn
from vqbn.errors import InputError
from vqbn.files import write_text

# Written into every config.yaml as a record; ignored where a configuration is read.
RECORDS = ("git_commit", "lightning_version", "numpy_version", "python_version", "torch_version", "vqbn_version")


def number(text: str) -> float:
    """Read a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def truth(text: str) -> bool:
    """Read true or false."""
    return {"true": True, "false": False}[text.lower()]


def scale(text: str) -> str | float:
    """Read a name or a positive number."""
    return text if text in ("xavier", "uniform") else number(text)


@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Attributes:
        name: in files; `--name` on the command line.
        default: the value where nobody sets it; None: it must be set.
        read: text to value, raising ValueError or KeyError.
        expected: what values there are, in words.
        help: a sentence for `--help`.
        valid: whether a value is possible.
        many: a list of such values.
        decides: the run's result depends on it: part of the hash, and fixed once a run has begun.
    """

    name: str
    default: object
    read: Callable[[str], object]
    expected: str
    help: str
    valid: Callable[[object], bool] = lambda value: True
    many: bool = False
    decides: bool = True

    def parse(self, value: object) -> object:
        """The value of a scalar's or a list's text.

        Raises:
            ValueError: it is not of the right kind, or not possible; the message says what was expected.
        """
        if self.many != isinstance(value, list):
            raise ValueError(f"expected {'a list: ' if self.many else ''}{self.expected}, found {shown(value)}")
        if self.many:
            return [self._parse_one(item) for item in value]
        return self._parse_one(value)

    def _parse_one(self, text: str) -> object:
        try:
            parsed = self.read(text)
        except (ValueError, KeyError):
            parsed = None
        if parsed is None or not self.valid(parsed):
            raise ValueError(f"expected {self.expected}, found {shown(text)}")
        return parsed


def shown(value: object) -> str:
    """A value as it stands in a message."""
    return f"'{value}'" if isinstance(value, str) else str(value)


def count(name: str, default: int | None, help: str, least: int = 1, decides: bool = True, many: bool = False) -> Key:
    """A key of whole numbers."""
    expected = f"a whole number of at least {least}"
    return Key(name, default, int, expected, help, lambda value: value >= least, many, decides)


def positive(name: str, default: float, help: str) -> Key:
    """A key of numbers above 0."""
    return Key(name, default, number, "a number above 0", help, lambda value: value > 0)


def not_negative(name: str, default: float, help: str) -> Key:
    """A key of numbers from 0 on."""
    return Key(name, default, number, "a number of at least 0", help, lambda value: value >= 0)


def share(name: str, default: float, help: str) -> Key:
    """A key of numbers from 0 to below 1."""
    return Key(name, default, number, "a number from 0 to below 1", help, lambda value: 0 <= value < 1)


def choice(name: str, default: str, choices: Sequence[str], help: str, decides: bool = True) -> Key:
    """A key with a few possible words."""
    return Key(name, default, str, "one of " + ", ".join(choices), help, lambda value: value in choices, False, decides)


def flag(name: str, default: bool, help: str, decides: bool = True) -> Key:
    """A key that is true or false."""
    return Key(name, default, truth, "true or false", help, decides=decides)


def text(name: str, default: str | None, help: str, decides: bool = False) -> Key:
    """A key of a path or a name."""
    return Key(name, default, str, "a path or a name", help, bool, decides=decides)


KEYS = (
    text("dump", None, "The folder of features that stage 2 made: <set>/, tokens.txt, cmvn.ark."),
    text("expdir", None, "The run's folder; a run that is there is continued."),
    Key(
        "results",
        "",
        str,
        "a folder, or nothing",
        "A folder of results files: a run that one of them holds, with the same configuration, is not begun.",
        decides=False,
    ),
    text("train_set", "train", "The set to train on, a folder of --dump.", decides=True),
    text("dev_set", "dev", "The set to evaluate on during training, a folder of --dump.", decides=True),
    count("seed", 1, "Of the weights, the order of the chunks and the clustering.", least=0),
    count("conv_channels", 32, "Channels of each of the encoder's two convolutions."),
    count("lstm_layers", 4, "Bidirectional LSTM layers of the encoder."),
    count("lstm_size", 320, "Units of an LSTM layer in each direction."),
    flag("latent_mixer", False, "Put the authors' stack of convolutions between bottleneck and head."),
    choice("bottleneck", "vq", ("vq", "linear"), "vq quantises; linear is the row 'no bottleneck'."),
    count("vq_codebook_size", 2048, "Codewords in each codebook.", least=2),
    count("vq_code_dim", 64, "Dimensions of the bottleneck's output, over all codebooks."),
    count("vq_num_codebooks", 1, "Codebooks, each on its share of vq_code_dim."),
    choice("vq_normalization", "none", ("none", "batch"), "Batch normalisation before the quantiser's projection."),
    choice("vq_update", "gradient", ("gradient", "ema"), "How codewords learn: by the loss, or as moving averages."),
    share("vq_ema_decay", 0.99, "Gamma of the moving averages (equation 4)."),
    not_negative("vq_commitment", 0.25, "Weight of the commitment term (gamma of equation 2)."),
    not_negative("vq_codebook_weight", 1.0, "Weight of the codebook term of equation 2."),
    Key(
        "vq_codebook_init",
        "xavier",
        scale,
        "xavier, uniform or a scale above 0",
        "How codewords begin: a distribution, or its scale.",
        lambda value: isinstance(value, str) or value > 0,
    ),
    not_negative("vq_loss_weight", 1.0, "Weight of the bottleneck's loss beside the CTC loss."),
    count("vq_reservoir_size", 0, "Vectors kept for the clustering; 0: max(20,480, 20 per codeword).", least=0),
    choice(
        "vq_seeding",
        "k-means||",
        ("k-means||", "k-means++", "random"),
        "How the clustering chooses its first centroids.",
    ),
    flag("reestimation", False, "Cluster the encoder's outputs anew into the codebook, on the schedule below."),
    count("reestimation_start", 2341, "The update that the first clustering takes effect for; none quantises before."),
    count("reestimation_until", 5851, "The last update that a clustering may take effect for."),
    count("reestimation_every", 1170, "Updates between clusterings."),
    Key(
        "reestimation_growth",
        1.0,
        number,
        "a number of at least 1",
        "The factor by which the gap between clusterings grows.",
        lambda value: value >= 1,
    ),
    positive("learning_rate", 1e-3, "Adam's step size."),
    not_negative("codebook_learning_rate", 0.0, "Adam's step size for the codebook; 0: learning_rate."),
    count("max_updates", 99450, "Optimiser updates in all."),
    count("batch_size", 32, "Chunks per update, over all processes."),
    count("chunk_frames", 64, "Frames per chunk; shorter utterances are padded."),
    count("chunks_per_utterance", 1, "Random chunks of each utterance in an epoch."),
    count("lr_milestones", [], "After each of these updates both step sizes are multiplied by lr_gamma.", many=True),
    Key(
        "lr_gamma",
        0.5,
        number,
        "a number above 0, at most 1",
        "The factor at the milestones.",
        lambda value: 0 < value <= 1,
    ),
    not_negative("gradient_clip", 20.0, "Largest norm of all gradients together; 0: no clipping."),
    share("polyak_decay", 0.998, "Decay of the averaged weights, which are the ones evaluated; 0: no averaging."),
    count("validate_every", 1170, "Updates between evaluations on dev_set; the last update is always evaluated."),
    count("batch_frames", 24000, "Frames per batch of whole utterances in an evaluation.", decides=False),
    count("checkpoint_every", 200, "Updates between checkpoints, besides those of evaluations.", decides=False),
    count("log_every", 50, "Updates between lines in the log.", decides=False),
    choice(
        "precision",
        "32-true",
        ("32-true", "16-mixed", "bf16-mixed"),
        "Arithmetic: float32, or mixed with float16 or bfloat16.",
    ),
    count(
        "threads", 1, "CPU threads per process; results are repeatable bit by bit for the same number.", decides=False
    ),
    count("ngpu", 0, "GPUs; 0: the CPU.", least=0, decides=False),
    count("num_workers", 0, "Extra processes per process that prepare batches.", least=0, decides=False),
    flag("cache_features", True, "Keep the features in memory once read.", decides=False),
)
BY_NAME = {key.name: key for key in KEYS}


def parse_arguments(argv: Sequence[str], prog: str, description: str) -> dict[str, object]:
    """The configuration that a command line and the files it names give.

    Files are read in the order of their `--config`; later ones win over earlier ones, the command line over all.

    Args:
        argv: arguments without the command's name.
        prog: the command's name.
        description: for `--help`.

    Returns:
        Every key of `KEYS`, with its value.

    Raises:
        InputError: a file is unreadable or malformed, or a key or value is wrong; names file and line, or the option.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--config", action="append", default=[])
    try:
        files = first.parse_known_args(argv)[0].config
    except argparse.ArgumentError as error:
        raise InputError(f"--config: {error.message}") from error
    origins: dict[str, str] = {}
    for path in files:
        for name, (_, line) in read_config(path).items():
            origins[name] = f"{path}:{line}: {name}"
    parser = make_parser(prog, description, files)
    options = vars(parser.parse_args(list(argv)))
    given = {name for name in BY_NAME if any(arg == f"--{name}" or arg.startswith(f"--{name}=") for arg in argv)}
    origins |= {name: f"--{name}" for name in given}
    config: dict[str, object] = {}
    for key in KEYS:
        value = options[key.name]
        if value is None:
            raise InputError(f"--{key.name}: not given; expected {key.expected} ({key.help})")
        try:
            config[key.name] = key.parse(value) if key.name in origins else value
        except ValueError as error:
            raise InputError(f"{origins[key.name]}: {error}") from error
    check_together(config, origins)
    return config


def make_parser(prog: str, description: str, files: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with an option per key and the files' values as defaults; values are left as text."""
    parser = OptionParser(
        prog=prog,
        description=description,
        default_config_files=list(files),
        config_file_parser_class=TextConfigParser,
        ignore_unknown_config_file_keys=True,
        add_config_file_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="append", metavar="FILE", help="A file of keys; repeatable, later ones win.")
    for key in KEYS:
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


class TextConfigParser(configargparse.ConfigFileParser):
    """Give ConfigArgParse what `read_config` reads, as text: YAML's own types turn 1e-3 into a string."""

    def get_syntax_description(self) -> str:
        return "Files hold lines 'key: value'."

    def parse(self, stream) -> dict[str, object]:
        return {name: value for name, (value, _) in read_config(stream.name).items()}


def read_config(path: str | Path) -> dict[str, tuple[object, int]]:
    """Read and check a file of `key: value` lines.

    Returns:
        Key → its text, or list of texts, and its line.

    Raises:
        InputError: naming the file, and the line of a key that is unknown, a duplicate, or has an impossible value.
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
        if name not in BY_NAME and name not in RECORDS:
            raise InputError(f"{path}:{line}: {name}: no such key{suggestion(name)}")
        value = node_text(node)
        if name in BY_NAME:
            try:
                BY_NAME[name].parse(value)
            except ValueError as error:
                raise InputError(f"{path}:{line}: {name}: {error}") from error
        entries[name] = (value, line)
    return {name: entry for name, entry in entries.items() if name in BY_NAME}


def node_text(node: yaml.Node) -> object:
    """A scalar's text, or the texts of a list; what is neither as a word that no key accepts."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [item.value for item in node.value]
    return "(nested)" if not isinstance(node, yaml.SequenceNode) else ["(nested)"]


def suggestion(name: str) -> str:
    """What the user may have meant, as the end of a message."""
    close = difflib.get_close_matches(name, BY_NAME, n=1)
    return f"; did you mean {close[0]}?" if close else "; vqbn-train --help lists the keys"


def check_together(config: Mapping[str, object], origins: Mapping[str, str]) -> None:
    """Raise InputError where keys that are possible alone don't go together; the message names the one to change."""

    def refuse(name: str, problem: str) -> None:
        raise InputError(f"{origins.get(name, name)}: {problem}")

    if config["vq_code_dim"] % config["vq_num_codebooks"]:
        refuse(
            "vq_num_codebooks",
            f"found {config['vq_num_codebooks']}, expected a divisor of vq_code_dim ({config['vq_code_dim']})",
        )
    if config["bottleneck"] == "vq" and config["reestimation"]:
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
        refuse("reestimation", "found true, expected false: a linear bottleneck has no codebook")
    milestones = config["lr_milestones"]
    if milestones != sorted(set(milestones)):
        refuse("lr_milestones", f"found {milestones}, expected rising numbers")
    if config["ngpu"] > 1 and config["batch_size"] % config["ngpu"]:
        refuse("batch_size", f"found {config['batch_size']}, expected a multiple of ngpu ({config['ngpu']})")


def configuration_hash(config: Mapping[str, object]) -> str:
    """Twelve hexadecimal digits that stand for everything in a configuration that a result depends on."""
    decisive = {key.name: config[key.name] for key in KEYS if key.decides}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def first_difference(config: Mapping[str, object], other: Mapping[str, object]) -> str | None:
    """The first key that a result depends on and in which two configurations differ; None: there is none."""
    for key in KEYS:
        if key.decides and config[key.name] != other.get(key.name):
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
