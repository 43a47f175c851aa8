"""All scores of one decoded set."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vqbn.errors import InputError
from vqbn.kaldi.silence import usual_silence
from vqbn.metrics.codes import bits_per_second, mean_perplexity, usage_histogram
from vqbn.metrics.per import Errors, speaker_errors, total, utterance_errors
from vqbn.metrics.units import GAP, joint_codes, latent_phones, phone_purity, pnmi


@dataclass
class Evaluation:
    """What a set's scoring found.

    Attributes:
        scores: the keys of `scores.json` that apply; PER in percent, purity and PNMI as shares.
        utterances: errors of each utterance, silence counting as a token.
        speakers: per speaker, edits and reference length with silence as a token and without.
        usage: (num_codebooks, K) counts of each code, or None without codes.
        sclite: `utterances` as NIST's sclite counts them.
        utt2spk: the speaker of each utterance; empty where nobody said.
    """

    scores: dict[str, float] = field(default_factory=dict)
    utterances: dict[str, Errors] = field(default_factory=dict)
    speakers: dict[str, dict[str, int]] = field(default_factory=dict)
    usage: list[list[int]] | None = None
    sclite: dict[str, Errors] = field(default_factory=dict)
    utt2spk: Mapping[str, str] = field(default_factory=dict)


def evaluate_phones(
    hypotheses: Mapping[str, Sequence[str]],
    references: Mapping[str, Sequence[str]],
    utt2spk: Mapping[str, str] | None = None,
    source: str = "the hypotheses",
    silence: Collection[str] | None = None,
) -> Evaluation:
    """PER with silence as a token (`per`) and without it (`per_nosil`), pooled, and errors per speaker.

    `per_nosil` drops silence alone: spoken noise (SPN) and noise (NSN) are sounds that a recogniser has to find.
    It is left out where the references are nothing but silence. `per_sclite` is `per` as sclite counts it.

    Args:
        hypotheses: phones per utterance.
        references: phones per utterance; the same utterances.
        utt2spk: the speaker of each utterance; None: no scores per speaker.
        source: what the hypotheses came from, for messages.
        silence: the phones that are silence; None: by their name, see `usual_silence`.

    Raises:
        InputError: as `utterance_errors` and `speaker_errors`.
    """
    errors = utterance_errors(hypotheses, references, source=source)
    sclite = utterance_errors(hypotheses, references, source=source, sclite=True)
    scores = rate_and_counts("per", errors, sclite)
    if silence is None:
        silence = usual_silence(
            token for table in (references, hypotheses) for tokens in table.values() for token in tokens
        )
    silent = all(token in silence for tokens in references.values() for token in tokens)
    spoken = errors if silent else utterance_errors(hypotheses, references, silence, source)
    if not silent:
        scores["per_nosil"] = total(spoken.values()).rate
    speakers = {}
    if utt2spk is not None:
        with_silence, without = speaker_errors(errors, utt2spk), speaker_errors(spoken, utt2spk)
        speakers = {
            speaker: {
                "edits": counts.edits,
                "reference_length": counts.reference_length,
                "edits_nosil": 0 if silent else without[speaker].edits,
                "reference_length_nosil": 0 if silent else without[speaker].reference_length,
            }
            for speaker, counts in with_silence.items()
        }
    return Evaluation(scores, errors, speakers, sclite=sclite, utt2spk=utt2spk or {})


def rate_and_counts(name: str, errors: Mapping[str, Errors], sclite: Mapping[str, Errors]) -> dict[str, float]:
    """The pooled error rate in percent and the counts that it is made of: the fewest edits, and sclite's.

    Args:
        name: the rate's key, "per" or "wer".
        errors: of each utterance, the fewest edits.
        sclite: of the same utterances, as sclite counts them.
    """
    pooled, theirs = total(errors.values()), total(sclite.values())
    return {
        name: pooled.rate,
        "substitutions": pooled.substitutions,
        "deletions": pooled.deletions,
        "insertions": pooled.insertions,
        "reference_length": pooled.reference_length,
        f"{name}_sclite": theirs.rate,
        "substitutions_sclite": theirs.substitutions,
        "deletions_sclite": theirs.deletions,
        "insertions_sclite": theirs.insertions,
    }


def evaluate_codes(
    codes: Mapping[str, np.ndarray],
    segments: Mapping[str, np.ndarray],
    silence: Collection[int],
    codebook_size: int,
    subsampling: int,
    frame_shift: float,
    source: str = "the codes",
) -> tuple[dict[str, float], list[list[int]]]:
    """Use of the codebook over the whole set, and how well the codes stand for phones.

    - `perplexity`, `used_codes` and `codes_seen` (codes counted) are over all latents of the set. With several
      codebooks perplexity is their mean, the other two their sum; `codebook_size` is that of one.
    - `perplexity_nosil` leaves out the latents whose centre frame is silence, or lies in a gap of the alignment, where
      nobody says that there was speech. Spoken noise (SPN) and noise (NSN) stay, as in `per_nosil`.
    - `phone_purity` and `pnmi` count each latent once with the phone of its centre frame, silence included and gaps
      left out; with several codebooks a unit is the tuple of indices.
    - `bits_per_second` is the unigram entropy of the codes in bits x latents per second.

    Keys that have nothing to count are left out.

    Args:
        codes: code indices of each utterance, integers (latents, num_codebooks); -1 where none was chosen.
        segments: integers (segments, 2), token and length in frames, of each utterance; the same utterances or more.
        silence: the tokens of silence; none where the corpus has none.
        codebook_size: K.
        subsampling: frames per latent.
        frame_shift: seconds per frame.
        source: what the codes came from, for messages.

    Returns:
        The scores, and the usage histogram (num_codebooks, K).

    Raises:
        InputError: the latents of an utterance don't fit its alignment, or an index is not of this codebook.
    """
    usage = usage_histogram(codes.values(), codebook_size)
    scores: dict[str, float] = {
        "used_codes": int((usage > 0).sum()),
        "codes_seen": int(usage.sum()),
        "codebook_size": codebook_size,
    }
    spoken, units, phones = [], [], []
    for utterance, chosen in codes.items():
        phone = latent_phones(segments[utterance], subsampling)
        if len(phone) != len(chosen):
            raise InputError(
                f"{source}: utterance {utterance!r} has {len(chosen)} codes, expected {len(phone)} for its "
                f"{segments[utterance][:, 1].sum()} frames at {subsampling} per code; decode the set again"
            )
        known = (chosen >= 0).all(axis=1)
        spoken.append(chosen[(phone != GAP) & ~np.isin(phone, list(silence))])
        units.append(chosen[known & (phone != GAP)])
        phones.append(phone[known & (phone != GAP)])
    if usage.any():
        scores["perplexity"] = mean_perplexity(usage)
        scores["bits_per_second"] = bits_per_second(usage, 1 / (subsampling * frame_shift))
    if spoken and (spoken_usage := usage_histogram(spoken, codebook_size)).any():
        scores["perplexity_nosil"] = mean_perplexity(spoken_usage)
    if sum(map(len, phones)):
        phone, unit = np.concatenate(phones), joint_codes(np.concatenate(units), codebook_size)
        scores["phone_purity"] = phone_purity(phone, unit)
        if not math.isnan(value := pnmi(phone, unit)):
            scores["pnmi"] = value
    return scores, usage.tolist()
