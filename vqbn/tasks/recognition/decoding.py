"""Whole utterances through a trained recogniser: what it hears, and the codes that it hears it through."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.kaldi.archive import read_scp, write_archive, write_scp
from vqbn.kaldi.tokens import Tokens
from vqbn.nets.best_path import greedy_decode
from vqbn.runs.records import read_record, write_record
from vqbn.tasks.recognition.beam import beam_decode
from vqbn.tasks.recognition.data import Batch
from vqbn.tasks.recognition.error_tables import TABLES
from vqbn.tasks.recognition.text_tokens import TextUnits
from vqbn.tasks.recognition.trn import read_trn, write_trn

FILES = ("hyp.trn", "ref.trn", "codes.ark", "codes.scp", "decode.json", "details.json", *TABLES)

ABOUT = {"set": str, "checkpoint": str, "update": int, "subsampling": int, "frame_shift": float, "averaged": bool}
ABOUT_CODES = {"codebook_size": int, "num_codebooks": int}


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
    units: TextUnits,
    transcripts: Mapping[str, str],
    device: torch.device | str = "cpu",
    beam: int = 0,
) -> Decoded:
    """As `decode`, for a model of characters or pieces: hypotheses and references are words.

    Args:
        model: as in `decode`.
        batches: as in `decode`; their targets are not read.
        tokens: what the model's outputs stand for.
        units: puts tokens together to text.
        transcripts: the references, words apart by spaces.
        device: where the model is.
        beam: how many prefixes the search keeps; 0 takes the best path.
    """
    plain = ((names, batch._replace(target_lengths=torch.zeros_like(batch.target_lengths))) for names, batch in batches)
    decoded = decode(model, plain, tokens, device, beam)
    decoded.hypotheses = {utt: units.join(found).split() for utt, found in decoded.hypotheses.items()}
    decoded.references = {utt: transcripts[utt].split() for utt in decoded.references}
    return decoded


def write_decoded(folder: str | Path, decoded: Decoded) -> None:
    """Write hyp.trn, ref.trn, decode.json and, where there are codes, codes.ark and codes.scp.

    The folder appears whole; an older decoding in it is replaced as a whole, its scoring included.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written; an older decoding is untouched.
    """
    folder = Path(folder).absolute()
    others = sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.is_dir() else []
    if others:
        raise InputError(f"{folder}: holds {others[0]!r}, which no decoding wrote; decode to another folder (--out)")
    with replacing(folder) as temporary:
        temporary.mkdir()
        write_trn(temporary / "hyp.trn", decoded.hypotheses)
        write_trn(temporary / "ref.trn", decoded.references)
        if decoded.codes:
            items = ((utterance, chosen.reshape(-1)) for utterance, chosen in decoded.codes.items())
            offsets = write_archive(temporary, "codes", items)
            # The ark is about to move with its folder.
            write_scp(temporary / "codes.scp", {utt: f"{folder / 'codes.ark'}:{at}" for utt, at in offsets.items()})
        write_record(temporary / "decode.json", decoded.about)


def read_decoded(folder: str | Path) -> Decoded:
    """Read what `write_decoded` wrote.

    Raises:
        InputError: a file is missing or malformed, or the codes don't have the utterances of the references.
    """
    folder = Path(folder)
    about = read_record(folder / "decode.json", ABOUT, "decode the set first (stage 4)")
    decoded = Decoded(read_trn(folder / "hyp.trn"), read_trn(folder / "ref.trn"), {}, about)
    if "codebook_size" not in about:
        return decoded
    read_record(folder / "decode.json", {**ABOUT, **ABOUT_CODES}, "decode the set again (stage 4)")
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


def code_rows(flat: np.ndarray, num_codebooks: int, folder: Path, utterance: str) -> np.ndarray:
    """(latents, num_codebooks) from the row-major vector in the archive."""
    if flat.ndim != 1 or flat.dtype.kind != "i" or flat.size % num_codebooks:
        raise InputError(
            f"{folder / 'codes.scp'}: {utterance!r} is not a vector of whole numbers, {num_codebooks} per latent; "
            "decode the set again"
        )
    return flat.reshape(-1, num_codebooks)


def decoded_name(set_name: str, beam: int = 0) -> str:
    """What a set's decoding is called: a beam search of several prefixes stands beside the best path (`beam` 0)."""
    return f"{set_name}_beam{beam}" if beam else set_name


def output_folder(expdir: str | Path, set_name: str) -> Path:
    """Where a run's decoding of a set lies."""
    return Path(expdir) / f"decode_{set_name}"
