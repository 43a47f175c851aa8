"""Whole utterances through a trained recogniser: what it hears, and the codes that it hears it through."""

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp
from vqbn.kaldi.features import FRAME_SHIFT
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.nets.best_path import greedy_decode
from vqbn.runs.decoding import CODES, code_rows, read_about, write_code_archive, writing_decoding
from vqbn.runs.task import Decoding
from vqbn.tasks.recognition.beam import beam_decode
from vqbn.tasks.recognition.data import Batch, whole_utterances
from vqbn.tasks.recognition.error_tables import TABLES
from vqbn.tasks.recognition.text_tokens import TextTokens
from vqbn.tasks.recognition.transcribed import transcripts_of
from vqbn.tasks.recognition.trn import read_trn, write_trn

logger = logging.getLogger(__name__)

FILES = ("hyp.trn", "ref.trn", *CODES, *TABLES)
ABOUT = {"subsampling": int, "frame_shift": float}


@dataclass
class Decoded:
    """A decoded set.

    Attributes:
        hypotheses: phones of each utterance, as recognised.
        references: phones of each utterance, the segments of its alignment without gaps.
        codes: code indices of each utterance, int32 (latents, num_codebooks); empty where nothing was quantised.
        about: what `decode.json` says: set, checkpoint, update, subsampling, frame_shift, averaged, and with codes
            codebook_size and num_codebooks.
    """

    hypotheses: dict[str, list[str]]
    references: dict[str, list[str]]
    codes: dict[str, np.ndarray] = field(default_factory=dict)
    about: dict[str, object] = field(default_factory=dict)


def decode_set(decoding: Decoding, out: Path) -> str:
    """Recognise the whole utterances of a set without a language model; as `Task.decode`.

    Writes hyp.trn, ref.trn (the alignment's segments, or for a model of characters or pieces the transcript's words),
    the code of each latent and decode.json.
    """
    loaded, args = decoding.loaded, decoding.args
    if args.beam < 0:
        raise InputError(f"--beam: found {args.beam}, expected 0 for the best path, or how many prefixes to keep")
    dump = Path(args.dump)
    phones, tokens = Tokens.read(dump / "tokens.txt"), Tokens(loaded.about["tokens"])
    token_type = loaded.config.get("token_type", "phn")
    if token_type == "phn" and phones.symbols != tokens.symbols:
        raise InputError(
            f"{dump / 'tokens.txt'}: {len(phones)} tokens that are not the {len(tokens)} of {loaded.path}; "
            "give the --dump that the model was trained on"
        )
    dataset = open_set(dump, args.set_name, phones, loaded.config.get("cmvn", "global"))
    if not any((dataset.segments(utterance)[:, 0] != 0).any() for utterance in dataset.utterances):
        raise InputError(f"{dump / args.set_name}: no utterance has a phone to score against; run stage 2 again")
    model = loaded.model.to(decoding.device)
    batches = whole_utterances(dataset, args.batch_frames)
    if token_type == "phn":
        decoded = decode(model, batches, phones, decoding.device, args.beam)
    else:
        texts = transcripts_of(dataset)
        decoded = decode_text(model, batches, tokens, TextTokens(token_type), texts, decoding.device, args.beam)
    decoded.about = decoding.about | {
        "subsampling": model.subsampling,
        "frame_shift": FRAME_SHIFT,
        "utterances": len(dataset),
        "frames": sum(dataset.num_frames.values()),
    }
    if token_type != "phn":
        decoded.about["token_type"] = token_type
    if args.beam:
        decoded.about["beam"] = args.beam
    if decoded.codes:
        decoded.about["codebook_size"] = model.bottleneck.codebook_size
        decoded.about["num_codebooks"] = next(iter(decoded.codes.values())).shape[1]
    elif loaded.config["bottleneck"] == "vq":
        logger.warning("%s: from before the first clustering: nothing is quantised, no codes", loaded.path)
    write_decoded(out, decoded)
    return f"{len(dataset)} utterances"


@torch.no_grad()
def decode(
    model: torch.nn.Module,
    batches: Iterable[tuple[Sequence[str], Batch]],
    tokens: Tokens,
    device: torch.device | str = "cpu",
    beam: int = 0,
) -> Decoded:
    """Recognise without a language model, along the best path or with a prefix beam search.

    Args:
        model: on `device`, in evaluation mode; called with features and lengths, it gives log_probs, lengths, indices.
        batches: utterance ids and their padded features, lengths and targets.
        tokens: what the model's outputs and the targets stand for.
        device: where the model is.
        beam: how many prefixes the search keeps; 0 takes the best path.

    Returns:
        Everything but `about`, sorted by utterance. `codes` is empty for a linear bottleneck and for a model from
        before its first clustering.
    """
    hypotheses, references, codes = {}, {}, {}
    for utterances, batch in batches:
        output = model(batch.features.to(device), batch.lengths.to(device))
        search = functools.partial(beam_decode, beam=beam) if beam else greedy_decode
        decoded = search(output.log_probs, output.lengths)
        for i, utterance in enumerate(utterances):
            hypotheses[utterance] = tokens.names(decoded[i])
            references[utterance] = tokens.names(batch.targets[i, : batch.target_lengths[i]].tolist())
            if output.indices is not None:
                chosen = output.indices[i, : int(output.lengths[i])]
                codes[utterance] = chosen.to("cpu", torch.int32).numpy()
    if not any((chosen >= 0).any() for chosen in codes.values()):
        codes = {}
    return Decoded(*(dict(sorted(part.items())) for part in (hypotheses, references, codes)))


def decode_text(
    model: torch.nn.Module,
    batches: Iterable[tuple[Sequence[str], Batch]],
    tokens: Tokens,
    cutter: TextTokens,
    transcripts: Mapping[str, str],
    device: torch.device | str = "cpu",
    beam: int = 0,
) -> Decoded:
    """As `decode`, for a model of characters or pieces: hypotheses and references are words.

    Args:
        model: as in `decode`.
        batches: as in `decode`; their targets are not read.
        tokens: what the model's outputs stand for.
        cutter: puts tokens together to text.
        transcripts: the references, words apart by spaces.
        device: where the model is.
        beam: how many prefixes the search keeps; 0 takes the best path.
    """
    plain = ((names, batch._replace(target_lengths=torch.zeros_like(batch.target_lengths))) for names, batch in batches)
    decoded = decode(model, plain, tokens, device, beam)
    decoded.hypotheses = {utt: cutter.join(found).split() for utt, found in decoded.hypotheses.items()}
    decoded.references = {utt: transcripts[utt].split() for utt in decoded.references}
    return decoded


def write_decoded(folder: str | Path, decoded: Decoded) -> None:
    """Write hyp.trn, ref.trn, decode.json and, where there are codes, codes.ark and codes.scp.

    The folder appears whole; an older decoding in it is replaced as a whole, its scoring included.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written; an older decoding is untouched.
    """
    with writing_decoding(folder, FILES, decoded.about) as temporary:
        write_trn(temporary / "hyp.trn", decoded.hypotheses)
        write_trn(temporary / "ref.trn", decoded.references)
        if decoded.codes:
            write_code_archive(temporary, folder, decoded.codes.items())


def read_decoded(folder: str | Path) -> Decoded:
    """Read what `write_decoded` wrote.

    Raises:
        InputError: a file is missing or malformed, or the codes don't have the utterances of the references.
    """
    folder = Path(folder)
    about = read_about(folder, ABOUT)
    decoded = Decoded(read_trn(folder / "hyp.trn"), read_trn(folder / "ref.trn"), {}, about)
    if "codebook_size" not in about:
        return decoded
    flat = read_scp(folder / "codes.scp")
    missing = sorted(decoded.references.keys() ^ flat.keys())
    if missing:
        raise InputError(
            f"{folder / 'codes.scp'}: {missing[0]!r} is not both here and in ref.trn ({len(missing)} such utterances); "
            "decode the set again"
        )
    for utterance in decoded.references:
        decoded.codes[utterance] = code_rows(flat[utterance], about["num_codebooks"], folder, utterance)
    return decoded


def decoded_name(set_name: str, beam: int = 0) -> str:
    """What a set's decoding is called: a beam search of several prefixes stands beside the best path (`beam` 0)."""
    return f"{set_name}_beam{beam}" if beam else set_name
