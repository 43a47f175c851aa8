"""The keys of the configurations: what a key is, and those that every task has."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace


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


def update_or_end(text: str) -> int | str:
    """Read the number of an update, or the word for the last."""
    return text if text == "end" else int(text)


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
        path: it names a file or folder, which the run's own config.yaml gives as an absolute path.
        since_first: the first results were hashed without it, so it enters the hash only where it is not its default.
        formerly: the name that the key has in files of older versions.
        only_with: pairs of another key's name and values, without one of which no result depends on this key.
    """

    name: str
    default: object
    read: Callable[[str], object]
    expected: str
    help: str
    valid: Callable[[object], bool] = lambda value: True
    many: bool = False
    decides: bool = True
    path: bool = False
    since_first: bool = False
    formerly: str = ""
    only_with: tuple[tuple[str, tuple[object, ...]], ...] = ()

    def matters(self, config: Mapping[str, object]) -> bool:
        """Whether the result of a run with this configuration depends on the key."""
        return self.decides and all(config.get(name, values[0]) in values for name, values in self.only_with)

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


def name(name: str, default: str, help: str) -> Key:
    """A key of the name of something."""
    return Key(name, default, str, "a name", help, bool)


def task_key(name: str) -> Key:
    """The key by which the commands find the task; each task's table begins with its own."""
    return Key("task", name, str, name, "What is trained.", lambda value: value == name, decides=False)


def set_keys(place: str) -> tuple[Key, Key]:
    """The keys of the sets to train and to evaluate on, which are in such a place: "a folder of --dump"."""
    return (
        name("train_set", "train", f"The set to train on, {place}."),
        name("dev_set", "dev", f"The set to evaluate on during training, {place}."),
    )


def folder(name: str, help: str) -> Key:
    """A key of a folder's path, which must be given."""
    return Key(name, None, str, "a path", help, bool, decides=False, path=True)


def with_defaults(keys: Sequence[Key], defaults: Mapping[str, object]) -> tuple[Key, ...]:
    """The same keys, some with another default."""
    unknown = defaults.keys() - {key.name for key in keys}
    if unknown:
        raise ValueError(f"no such keys: {sorted(unknown)}")
    return tuple(replace(key, default=defaults.get(key.name, key.default)) for key in keys)


def only_with(name: str, values: tuple[object, ...], *keys: Key) -> tuple[Key, ...]:
    """The same keys, which matter only where the key `name` has one of `values`."""
    return tuple(replace(key, only_with=(*key.only_with, (name, values))) for key in keys)


def last_update(config: Mapping[str, object]) -> int:
    """The update that a run ends with."""
    return config["continue_to"] or config["max_updates"]


# The quantiser and its clustering. Tasks without the key `bottleneck` always have one.
BOTTLENECK = (
    count("vq_code_dim", 64, "Dimensions of the bottleneck's output, over all codebooks."),
    *only_with(
        "bottleneck",
        ("vq", "peer"),
        count("vq_codebook_size", 2048, "Codewords in each codebook.", least=2),
        count("vq_num_codebooks", 1, "Codebooks, each on its share of vq_code_dim."),
        choice("vq_normalization", "none", ("none", "batch"), "Batch normalisation in front of the quantiser."),
        choice(
            "vq_update", "gradient", ("gradient", "ema"), "How codewords learn: by the loss, or as moving averages."
        ),
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
        not_negative("vq_loss_weight", 1.0, "Weight of the bottleneck's loss beside the task's."),
        flag("reestimation", False, "Cluster the encoder's outputs anew into the codebook, on the schedule below."),
        *only_with(
            "reestimation",
            (True,),
            count("vq_reservoir_size", 0, "Vectors kept for the clustering; 0: max(20,480, 20 per codeword).", least=0),
            choice(
                "vq_seeding",
                "k-means||",
                ("k-means||", "k-means++", "random"),
                "How the clustering chooses its first centroids.",
            ),
            Key(
                "vq_balance",
                0,
                int,
                "a whole number of at least 0",
                "Rounds, after each clustering, of splitting the codewords used most in the place of those used least.",
                lambda value: value >= 0,
                since_first=True,
            ),
            count(
                "reestimation_start",
                2341,
                "The update that the first clustering takes effect for; none quantises before.",
            ),
            Key(
                "reestimation_until",
                5851,
                update_or_end,
                "a whole number of at least 1, or end",
                "The last update that a clustering may take effect for; end: that of the training.",
                lambda value: value == "end" or value >= 1,
            ),
            count("reestimation_every", 1170, "Updates between clusterings."),
            Key(
                "reestimation_growth",
                1.0,
                number,
                "a number of at least 1",
                "The factor by which the gap between clusterings grows.",
                lambda value: value >= 1,
            ),
        ),
    ),
)

# Another library's layer; the names are those of vqbn.nets.peers, whose import would load torch.
PEERS = ("vqp_ema", "simvq", "fsq", "rotation", "cosine")
PEER = only_with(
    "bottleneck",
    ("peer",),
    Key(
        "peer",
        "vqp_ema",
        str,
        f"one of {', '.join(PEERS)}",
        "With bottleneck peer: which layer of vector-quantize-pytorch. Of the keys vq_... it takes the size, the "
        "dimension, the normalisation, the decay, the commitment and the loss's weight.",
        lambda value: value in PEERS,
        since_first=True,
    ),
    Key(
        "peer_dead_threshold",
        2.0,
        number,
        "a number of at least 0",
        "A peer's code with fewer vectors of a batch than this, on a moving average, is replaced; 0: none is.",
        lambda value: value >= 0,
        since_first=True,
    ),
)

# Optimiser, averaging, and the course of a run.
OPTIMISATION = (
    count("seed", 1, "Of the weights, the order of the data and the clustering.", least=0),
    positive("learning_rate", 1e-3, "Adam's step size."),
    *only_with(
        "bottleneck",
        ("vq", "peer"),
        not_negative("codebook_learning_rate", 0.0, "Adam's step size for the codebook; 0: learning_rate."),
    ),
    count("max_updates", 99450, "Optimiser updates in all, on which the schedules are laid out."),
    Key(
        "continue_to",
        0,
        int,
        "0, or a multiple of validate_every above max_updates",
        "Go on to this many updates, also with a finished run; the schedules stay as they are: no further clustering "
        "and no further cut of the step sizes but those that are written. 0: to max_updates.",
        lambda value: value >= 0,
        since_first=True,
    ),
    Key(
        "init_from",
        "",
        str,
        "a .ckpt file, or nothing",
        "Begin with the (averaged) weights and the codebook of this checkpoint. Optimiser, update count, reservoir and "
        "schedules begin anew: with re-estimation nothing is quantised before its first clustering.",
        decides=False,
        path=True,
    ),
    Key(
        "init_from_hash",
        "",
        str,
        "nothing; vqbn-train fills it in",
        "What stands for that file's contents in a run's configuration.",
        since_first=True,
    ),
    count("batch_size", 32, "Items per update, over all processes."),
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
    choice(
        "precision",
        "32-true",
        ("32-true", "16-mixed", "bf16-mixed"),
        "Arithmetic: float32, or mixed with float16 or bfloat16.",
    ),
)

# Where and how fast: no result depends on these.
RUNNING = (
    folder("expdir", "The run's folder; a run that is there is continued."),
    Key(
        "results",
        "",
        str,
        "a folder, or nothing",
        "A folder of results files: a run that one of them holds, with the same configuration, is not begun.",
        decides=False,
        path=True,
    ),
    count("checkpoint_every", 200, "Updates between checkpoints, besides those of evaluations.", decides=False),
    count("log_every", 50, "Updates between lines in the log.", decides=False),
    count(
        "threads", 1, "CPU threads per process; results are repeatable bit by bit for the same number.", decides=False
    ),
    count("ngpu", 0, "GPUs; 0: the CPU.", least=0, decides=False),
    count("num_workers", 0, "Extra processes per process that prepare batches.", least=0, decides=False),
)
