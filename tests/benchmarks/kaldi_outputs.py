"""Ours beside what Kaldi's own programs wrote: features, deltas, CMVN, archives, alignments; and sclite's counts.

usage: python tests/benchmarks/kaldi_outputs.py CORPUS [--trn DIR ...]

CORPUS holds Kaldi's alignments in kaldi/exp/tri3b_ali_train and its programs' output in kaldi/expected. DIR has hyp.trn
and ref.trn, such as exp/bn_reest_lr_seed1/decode_dev: our counts are compared with those of sclite (Debian: sctk).
Prints a table in Markdown. Differences of numbers are absolute, those of statistics relative to the sum of magnitudes.
"""

import argparse
import gzip
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import kaldiio
import numpy as np

from vqbn.kaldi.alignment import alignment_files, read_alignments, read_phone_alignments, split_phones
from vqbn.kaldi.audio import read_audio
from vqbn.kaldi.cmvn import accumulate, accumulate_groups, read_cmvn
from vqbn.kaldi.deltas import add_deltas
from vqbn.kaldi.features import FRAME_SHIFT, log_mel
from vqbn.kaldi.symbols import base_phone
from vqbn.kaldi.transition_model import read_transition_model
from vqbn.metrics.evaluation import evaluate_phones
from vqbn.tasks.recognition.trn import read_trn

Table = dict[str, np.ndarray]
Row = tuple[str, str, str, str]  # what, Kaldi's program, how much was compared, the difference


def of_numbers(ours: Table, kaldis: Table) -> tuple[str, str]:
    """How many values there are, and how far two tables of matrices are apart."""
    assert ours.keys() == kaldis.keys()
    apart = np.concatenate([np.abs(ours[key] - kaldis[key], dtype=np.float64).ravel() for key in kaldis])
    quantile = np.quantile(apart, 0.999)
    return f"{len(apart):,} values", f"mean {apart.mean():.1e}, 99.9 % ≤ {quantile:.1e}, max {apart.max():.1e}"


def of_statistics(ours: np.ndarray, kaldis: np.ndarray, features: list[np.ndarray]) -> float:
    """How far CMVN statistics are apart, relative to the sums of magnitudes: sums of derivatives nearly cancel."""
    magnitudes = np.zeros(kaldis.shape)
    for matrix in features:
        wide = np.abs(matrix.astype(np.float64))
        magnitudes += np.stack([np.append(wide.sum(0), len(wide)), np.append((wide**2).sum(0), 1)])
    return float((np.abs(ours - kaldis) / magnitudes).max())


def feature_rows(folder: Path) -> Iterator[Row]:
    """Rows of what is computed from audio and from features."""
    ark: Callable[[str], Table] = lambda name: dict(kaldiio.load_ark(str(folder / name)))  # noqa: E731
    static, deltas = ark("fbank80e.ark"), ark("fbank80e_deltas.ark")
    paths = dict(line.split(maxsplit=1) for line in (folder / "wav.scp").read_text().splitlines())
    audio = {key: read_audio(folder / path) for key, path in paths.items()}
    for backend, package in (("kaldi", "kaldi-native-fbank"), ("torchaudio", "torchaudio")):
        ours = {key: log_mel(samples, backend) for key, samples in audio.items()}
        yield f"80 mel bins and energy from audio ({package})", "compute-fbank-feats", *of_numbers(ours, static)
        if backend == "kaldi":
            both = {key: add_deltas(matrix) for key, matrix in ours.items()}
            yield "the same with deltas", "add-deltas", *of_numbers(both, deltas)
    ours = {key: add_deltas(matrix) for key, matrix in static.items()}
    yield "deltas of Kaldi's features", "add-deltas", *of_numbers(ours, deltas)
    packed = ark("fbank80e_compressed.ark")
    with gzip.open(folder / "fbank80e_compressed.txt.gz", "rb") as text:
        yield "a compressed archive, read", "copy-feats to text", *of_numbers(packed, dict(kaldiio.load_ark(text)))
    yield from cmvn_rows(folder, ark, static, deltas)


def cmvn_rows(folder: Path, ark: Callable[[str], Table], static: Table, deltas: Table) -> Iterator[Row]:
    """Rows of statistics and of what is normalised with them."""
    for name, label, features in (
        ("cmvn_global.mat", "CMVN statistics, global", static),
        ("cmvn_global_deltas.mat", "CMVN statistics, global, with deltas", deltas),
    ):
        kaldis = read_cmvn(folder / name).stats
        apart = of_statistics(accumulate(features.values()).stats, kaldis, list(features.values()))
        yield label, "compute-cmvn-stats", f"{kaldis.size:,} sums", f"max {apart:.1e} (relative)"
    speakers = {key: key.split("-")[0] for key in static}
    for name, label, groups in (
        ("cmvn_per_spk.ark", "CMVN statistics of each speaker", speakers),
        ("cmvn_per_utt.ark", "CMVN statistics of each utterance", {key: key for key in static}),
    ):
        kaldis = ark(name)
        ours = accumulate_groups(((groups[key],), matrix) for key, matrix in static.items())
        own = {group: [static[key] for key in static if groups[key] == group] for group in kaldis}
        apart = max(of_statistics(ours[group].stats, kaldis[group], own[group]) for group in kaldis)
        count = sum(stats.size for stats in kaldis.values())
        yield label, "compute-cmvn-stats --spk2utt", f"{count:,} sums", f"max {apart:.1e} (relative)"
    everyone = accumulate(static.values())
    by_speaker = accumulate_groups(((speakers[key],), matrix) for key, matrix in static.items())
    for name, label, cmvn in (
        ("fbank80e_cmvn_global_normvars_true.ark", "normalised by the global ones", dict.fromkeys(static, everyone)),
        (
            "fbank80e_cmvn_spk_normvars_true.ark",
            "normalised by each speaker's",
            {k: by_speaker[speakers[k]] for k in static},
        ),
    ):
        ours = {key: cmvn[key].normalise(matrix) for key, matrix in static.items()}
        yield label, "apply-cmvn --norm-vars=true", *of_numbers(ours, ark(name))


def alignment_rows(ali: Path, expected: Path) -> Iterator[Row]:
    """Rows of what is read from alignments."""
    model = read_transition_model(ali / "final.mdl")
    ours: dict[str, list[tuple[np.ndarray, ...]]] = {}
    for path in alignment_files(ali):
        found = read_alignments(path)
        runs = split_phones(found, model)
        for number, key in enumerate(found.utterances):
            ids = found.ids[found.offsets[number] : found.offsets[number + 1]]
            segments = slice(runs.offsets[number], runs.offsets[number + 1])
            pairs = np.stack([runs.phones[segments], runs.frames[segments]], 1)
            ours[key] = (ids, model.pdfs[ids], model.phones[ids], pairs)
    for column, (name, label, program, unit) in enumerate(
        (
            ("ali_tid", "transition-ids", "copy-int-vector", "frames"),
            ("pdfs", "pdfs", "ali-to-pdf", "frames"),
            ("phones_per_frame", "phones of the frames", "ali-to-phones --per-frame", "frames"),
            ("phones_lengths", "phones and their lengths", "ali-to-phones --write-lengths", "phones"),
        )
    ):
        count = differ = 0
        kaldis = dict(integers(expected / f"{name}.txt.gz"))
        for key in kaldis.keys() | ours.keys():
            theirs, mine = kaldis.get(key, np.zeros(0)), ours[key][column].ravel() if key in ours else np.zeros(0)
            width = 2 if unit == "phones" else 1
            count += len(theirs) // width
            same = len(theirs) == len(mine) and (theirs == mine).reshape(-1, width).all(1).sum()
            differ += max(len(theirs), len(mine)) // width - int(same)
        yield label, program, f"{count:,} {unit} of {len(kaldis):,} utterances", f"{differ:,} differ"
    segments, lines = read_phone_alignments(ali), read_phone_ctm(expected / "phones.ctm.gz")
    apart = differ = count = 0
    for key, theirs in lines.items():
        starts = np.cumsum([0, *(each.frames for each in segments[key])])[:-1] * FRAME_SHIFT
        differ += [each.phone for each in segments[key]] != [base_phone(phone) for _, phone in theirs]
        apart = max(apart, np.abs(starts - [start for start, _ in theirs]).max())
        count += len(theirs)
    difference = f"{differ} utterances with other phones; times max {apart:.0e} s"
    yield "phones and start times", "ali-to-phones --ctm-output", f"{count:,} phones", difference


def integers(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Lines `utterance number number ...`; semicolons between pairs mean nothing."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            key, _, rest = line.partition(" ")
            yield key, np.array(rest.replace(";", " ").split(), dtype=np.int64)


def read_phone_ctm(path: Path) -> dict[str, list[tuple[float, str]]]:
    """Utterance → starts in seconds and phones."""
    table: dict[str, list[tuple[float, str]]] = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            key, _, start, _, phone = line.split()
            table.setdefault(key, []).append((float(start), phone))
    return table


def score_rows(folders: list[Path]) -> Iterator[Row]:
    """Rows of errors: all of sclite's counts, and the two rates that we report."""
    if not folders:
        return
    sys.path.append(str(Path(__file__).parents[1] / "scoring"))
    from test_sclite import PROGRAM, counts_of

    if not os.access(PROGRAM, os.X_OK):
        raise SystemExit("sclite is not installed (Debian: sctk)")
    for folder in folders:
        theirs = counts_of(PROGRAM, folder)
        ours = evaluate_phones(read_trn(folder / "hyp.trn"), read_trn(folder / "ref.trn"))
        found = {
            key: (e.substitutions, e.deletions, e.insertions, e.reference_length) for key, e in ours.sclite.items()
        }
        differ = sum(found[key] != theirs.get(key) for key in found)
        rate = 100 * sum(sum(counts[:3]) for counts in theirs.values()) / sum(counts[3] for counts in theirs.values())
        yield (
            f"substitutions, deletions, insertions ({folder.parent.name}, {folder.name})",
            "sclite",
            f"{len(theirs):,} utterances",
            f"{differ:,} differ; PER {rate:.4f} % (sclite), {ours.scores['per_sclite']:.4f} % (ours as sclite counts), "
            f"{ours.scores['per']:.4f} % (ours: the fewest edits)",
        )


def main() -> None:
    """Compare, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", type=Path)
    options.add_argument("--trn", type=Path, action="append", default=[])
    args = options.parse_args()
    kaldi = args.corpus / "kaldi"
    print("| ours | Kaldi's or NIST's program | compared | difference |\n|---|---|---|---|")
    for rows in (
        feature_rows(kaldi / "expected/feats"),
        alignment_rows(kaldi / "exp/tri3b_ali_train", kaldi / "expected/train"),
        score_rows(args.trn),
    ):
        for row in rows:
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
