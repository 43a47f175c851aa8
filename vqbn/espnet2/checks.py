"""What is checked before ESPnet begins: each complaint is one line that says what to change."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from espnet2.asr.espnet_model import ESPnetASRModel
from espnet2.tasks.asr import encoder_choices
from espnet2.text.build_tokenizer import build_tokenizer
from espnet2.text.cleaner import TextCleaner
from espnet2.utils.get_default_kwargs import get_default_kwargs

from vqbn.errors import InputError
from vqbn.espnet2.configured import check_keys
from vqbn.espnet2.safe import check_states
from vqbn.kaldi.transcripts import read_transcripts
from vqbn.tasks.recognition.text_tokens import TOKEN_TYPES

ENCODERS = ("vqbn_deepspeech2", "vqbn_wrapped")
SPECIAL = ("<unk>", "<sos/eos>")
# What ESPnet's task gives its model besides `model_conf`.
MODEL_PARTS = ("vocab_size", "token_list", "frontend", "specaug", "normalize", "preencoder", "encoder", "postencoder")
MODEL_PARTS += ("decoder", "ctc", "joint_network")


def check_arguments(args: argparse.Namespace) -> None:
    """Check a training's arguments.

    Raises:
        InputError: something is wrong with them.
    """
    where = f"{args.config}: " if getattr(args, "config", None) else ""
    check_encoder(args.encoder, where)
    check_keys(args.encoder_conf, encoder_choices.get_class(args.encoder), f"{where}encoder_conf", ("input_size",))
    if args.model != "vqbn":
        raise InputError(
            f"{where}model: found {args.model}, expected vqbn: any other model drops the bottleneck's loss"
        )
    check_keys(args.model_conf, ESPnetASRModel, f"{where}model_conf", MODEL_PARTS, also=["vq_weight"])
    if args.sharded_ddp or args.use_deepspeed:
        name = "sharded_ddp" if args.sharded_ddp else "use_deepspeed"
        raise InputError(f"{where}{name}: found true, expected false: a codebook's optimiser can't be divided")
    if args.ngpu > 1 and not args.multiprocessing_distributed:
        raise InputError(
            f"{where}multiprocessing_distributed: found false with ngpu: {args.ngpu}, expected true: replicas in "
            "threads would each have a codebook's clock and reservoir of their own"
        )
    check_averaging(args, where)
    check_vocabulary(args)
    check_resumed(args)
    for initial in args.init_param or ():
        check_states(initial.partition(":")[0])


def check_encoder(name: str | None, where: str) -> None:
    """Refuse a configuration whose encoder is not one of ours.

    Raises:
        InputError: so it is.
    """
    if name not in ENCODERS:
        inside = f" (to put a bottleneck behind {name}: encoder: vqbn_wrapped, encoder_conf: encoder: {name})"
        raise InputError(f"{where}encoder: found {name}, expected {' or '.join(ENCODERS)}{inside if name else ''}")


def check_averaging(args: argparse.Namespace, where: str) -> None:
    """Refuse ESPnet's averaging of the n best epochs, which adds up whatever a checkpoint holds.

    The mean of codebooks from before and after a clustering means nothing, and clock and reservoir have none.

    Raises:
        InputError: more than one epoch would be averaged, and the bottleneck quantises.
    """
    kept = args.keep_nbest_models
    most = max(kept, default=1) if isinstance(kept, list | tuple) else kept
    if args.encoder_conf.get("bottleneck", "vq") == "vq" and most != 1:
        raise InputError(
            f"{where}keep_nbest_models: found {kept}, expected 1: ESPnet would average the codebooks of {most} epochs, "
            "and their mean is no codebook"
        )


def check_vocabulary(args: argparse.Namespace) -> None:
    """Refuse a token list without ESPnet's own tokens, or without one that the training text has.

    ESPnet takes a token that is not in the list as <unk>, without a word.

    Raises:
        InputError: a token is missing or twice there, or a file can't be read.
    """
    symbols = token_symbols(args.token_list)
    where = args.token_list if isinstance(args.token_list, str) else "token_list"
    if symbols[:1] != ["<blank>"]:
        raise InputError(f"{where}: found '{''.join(symbols[:1])}' first, expected <blank>, which is token 0 of CTC")
    for symbol in SPECIAL:
        if symbol not in symbols:
            raise InputError(f"{where}: lacks {symbol}, which ESPnet needs; add it as a line of its own")
    for symbol in sorted({symbol for symbol in symbols if symbols.count(symbol) > 1}):
        raise InputError(f"{where}: has '{symbol}' more than once; make the token list again")
    # What g2p makes of a text can only be known by doing all its work.
    if args.allow_unknown_tokens or not args.use_preprocessor or args.g2p or args.token_type not in TOKEN_TYPES:
        return
    if args.token_type == "bpe" and not (args.bpemodel and os.path.isfile(args.bpemodel)):
        raise InputError(f"bpemodel: found {args.bpemodel}, expected the sentencepiece model's file, as token_type bpe")
    tokenizer = build_tokenizer(
        token_type=args.token_type,
        bpemodel=args.bpemodel,
        non_linguistic_symbols=args.non_linguistic_symbols,
    )
    cleaner = TextCleaner(args.cleaner)
    known = set(symbols)
    for path, name, kind in args.train_data_path_and_name_and_type:
        if name != "text" or kind != "text":
            continue
        for utterance, text in read_transcripts(path).items():
            for token in tokenizer.text2tokens(cleaner(text)):
                if token not in known:
                    raise InputError(
                        f"{where}: lacks '{token}', which {utterance} in {path} has; make the token list from the "
                        "training text again, or give --allow_unknown_tokens true"
                    )


def token_symbols(token_list: str | list[str]) -> list[str]:
    """The symbols of a token list, read as ESPnet reads it.

    Raises:
        InputError: the file can't be read.
    """
    if not isinstance(token_list, str):
        return list(token_list)
    try:
        return [line.rstrip() for line in Path(token_list).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise InputError(
            f"{token_list}: can't be read: {error.strerror}; --token_list names a list of tokens"
        ) from None


def check_resumed(args: argparse.Namespace) -> None:
    """Refuse to resume a run with another model than it began with; ESPnet writes over its config.yaml first.

    Raises:
        InputError: encoder, codebook or token list differ.
    """
    recorded = Path(args.output_dir) / "config.yaml"
    if not (args.resume and recorded.is_file() and recorded.with_name("checkpoint.pth").is_file()):
        return
    before = read_config(recorded)
    now = {**vars(args), "token_list": token_symbols(args.token_list)}
    for name in sorted(described(before).keys() | described(now).keys()):
        old, new = described(before).get(name), described(now).get(name)
        if old != new:
            raise InputError(
                f"{recorded}: trained with {name}: {_short(old)}, not {_short(new)}; give the same, another "
                f"--output_dir, or remove {recorded.parent}"
            )


def described(config: Mapping[str, object]) -> dict[str, object]:
    """What a checkpoint's tensors depend on, nested keys joined as `a: b`, defaults filled in."""
    parts = {name: config.get(name) for name in ("encoder", "model", "token_type", "token_list", "input_size")}
    kind = encoder_choices.classes.get(str(config.get("encoder")))
    defaults = get_default_kwargs(kind) if kind else {}
    return parts | _flat({**defaults, **(config.get("encoder_conf") or {})}, "encoder_conf: ")


def _flat(conf: Mapping[str, object], prefix: str) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in conf.items():
        flat |= _flat(value, f"{prefix}{name}: ") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return {name: value for name, value in flat.items() if value is not None}


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} tokens" if len(value) > 4 else str(value)
    return str(value)


def read_config(path: str | Path) -> dict[str, object]:
    """A run's config.yaml.

    Raises:
        InputError: it can't be read.
    """
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; train first") from None
    except yaml.YAMLError:
        config = None
    if not isinstance(config, dict):
        raise InputError(f"{path}: not the config.yaml of an ESPnet training; expected keys and values")
    return config


def check_decoding(config: str | None, model_file: str | None) -> None:
    """Check what an inference is to decode with.

    Args:
        config: config.yaml of the training.
        model_file: its weights.

    Raises:
        InputError: they are not of one of our models, or the weights are an average.
    """
    if config is None or model_file is None:
        # Without a file ESPnet would decode with random weights.
        name = "asr_train_config" if config is None else "asr_model_file"
        raise InputError(f"--{name}: not given; expected the training's {'config.yaml' if config is None else '.pth'}")
    check_encoder(read_config(config).get("encoder"), f"{config}: ")
    try:
        state = torch.load(model_file, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:
        raise InputError(f"{model_file}: can't be read: {error.strerror}; train first") from None
    except Exception as error:  # what torch raises for damaged data is not specified
        raise InputError(f"{model_file}: damaged, or not a model's weights; give valid.loss.best.pth") from error
    extra = state.get("encoder.bottleneck._extra_state") if isinstance(state, dict) else None
    if "encoder.bottleneck.projection.weight" not in state:
        raise InputError(f"{model_file}: has no bottleneck; give the weights that {config} belongs to")
    if extra is not None and extra.dtype != torch.uint8:
        raise InputError(
            f"{model_file}: the mean of several epochs, whose codebooks have none; train with keep_nbest_models: 1, or "
            "give one epoch's weights"
        )
