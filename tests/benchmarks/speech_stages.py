"""Stages 1 and 2 and the reader of training, each beside a plain loop over the package that does the work.

usage: python tests/benchmarks/speech_stages.py CORPUS [--utterances 200] [--rounds 3] [--align 0]

CORPUS holds Kaldi data directories and alignments as speechocean762 has them (train/, kaldi/exp/tri3b_ali_train). Both
sides of a row take turns in one process and do the same utterances; ratios are of processor time, which other programs
on the machine disturb less than they do the time on the clock. Rows with several processes are of the clock, and need
free cores. Prints medians over the rounds. With --align N also pocketsphinx on N utterances, in one process and in two.
"""

import argparse
import gzip
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import kaldi_native_fbank
import kaldiio
import numpy as np
import soundfile
from torch.utils.data import DataLoader

from vqbn.corpora.corpus import write_data_dir
from vqbn.kaldi.alignment import read_phone_alignments
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.datadir import read_data_dir
from vqbn.kaldi.deltas import add_deltas
from vqbn.kaldi.feature_parts import make_part, plan_parts
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.tasks.recognition.data import ChunkBatches

BATCH, FRAMES = 32, 64
PREFETCHED = 100


def compare(
    what: str,
    unit: str,
    count: int,
    ours: Callable[[], object],
    plain: Callable[[], object],
    rounds: int,
    clock=time.process_time,
) -> None:
    """Time both in turns, and print a row: the plain loop's speed, ours, and their ratio."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, work in zip(seconds, (plain, ours), strict=True):
            start = clock()
            work()
            side.append(clock() - start)
    speeds = [count / statistics.median(side) for side in seconds]
    shown = [f"{speed:,.0f}" if speed >= 10 else f"{speed:.2f}" for speed in speeds]
    print(f"| {what} | {shown[0]} | {shown[1]} | {unit} | {speeds[1] / speeds[0]:.2f} |", flush=True)


def plain_alignments(folder: Path) -> dict[str, np.ndarray]:
    """Every alignment of a directory, as kaldiio reads it: transition-ids, no phones."""
    table = {}
    for path in sorted(folder.glob("ali.*.gz")):
        with gzip.open(path, "rb") as file:
            table.update(kaldiio.load_ark(file))
    return table


def plain_features(utterances: list, out: Path) -> None:
    """Features as a script would make them: read, compute, append to one archive."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    options.use_energy = True
    with kaldiio.WriteHelper(f"ark,scp:{out}.ark,{out}.scp") as writer:
        for utterance in utterances:
            samples, rate = soundfile.read(utterance.audio, dtype="int16")
            fbank = kaldi_native_fbank.OnlineFbank(options)
            fbank.accept_waveform(rate, samples.astype(np.float32))
            fbank.input_finished()
            writer(utterance.id, np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)]))


def plain_chunks(dump: Path, batches: int, seed: int) -> None:
    """Chunks as a script would read them: whole utterances in random order, deltas, CMVN, a random chunk, a batch."""
    rng = np.random.default_rng(seed)
    features, cmvn = kaldiio.load_scp(str(dump / "train/feats.scp")), read_cmvn(dump / "cmvn.ark")
    order = itertools.cycle(rng.permutation(sorted(features)))
    for _ in range(batches):
        items = []
        for utterance in itertools.islice(order, BATCH):
            matrix = cmvn.normalise(add_deltas(features[utterance]))
            start = rng.integers(max(1, len(matrix) - FRAMES + 1))
            items.append(np.resize(matrix[start : start + FRAMES], (FRAMES, matrix.shape[1])))
        np.stack(items)


def read_chunks(dump: Path, batches: int, cache: bool) -> Callable[[], None]:
    """Ours: the batches of training; a cache is filled before."""
    dataset = open_set(dump, "train", Tokens.read(dump / "tokens.txt"), cache=cache)
    if cache:
        for utterance in dataset.utterances:
            dataset.features(utterance)
    stream = iter(ChunkBatches(dataset, BATCH, FRAMES))

    def read() -> None:
        for _ in range(batches):
            next(stream)

    return read


def prefetch(dump: Path, batches: int, workers: int, wait: float) -> Callable[[], None]:
    """Ours from disk, read by other processes if `workers` says so, for a consumer that is busy elsewhere a while."""
    dataset = open_set(dump, "train", Tokens.read(dump / "tokens.txt"), cache=False)
    stream = iter(DataLoader(ChunkBatches(dataset, BATCH, FRAMES), batch_size=None, num_workers=workers))
    next(stream)  # the processes are up

    def read() -> None:
        for _ in range(batches):
            next(stream)
            time.sleep(wait)

    return read


def seconds_of(work: Callable[[], None]) -> float:
    """How long it takes by the clock."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def run(command: str, *options: object) -> None:
    """One of our commands, in a process of its own, whose children start from it and not from this script."""
    subprocess.run([sys.executable, "-m", f"vqbn.bin.{command}", *map(str, options)], check=True, capture_output=True)


def main() -> None:
    """Measure, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", type=Path)
    options.add_argument("--utterances", type=int, default=200)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--align", type=int, default=0)
    args = options.parse_args()
    corpus = args.corpus.absolute()
    chosen = list(read_data_dir(corpus / "train", corpus).utterances.values())[: args.utterances]
    ali = corpus / "kaldi/exp/tri3b_ali_train"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data_dir(folder / "train", chosen)
        print("| | plain loop | ours | unit | ours / plain |\n|---|---|---|---|---|")
        wanted = plain_alignments(ali)
        compare(
            "stage 1, import: to phones with times, beside reading the transition-ids with kaldiio",
            "utterances/s",
            len(wanted),
            lambda: read_phone_alignments(ali),
            lambda: plain_alignments(ali),
            args.rounds,
        )
        run("import_alignments", "--kaldi_exp", ali, "--set", folder / "train")
        frames = sum(map(len, (wanted[utterance.id] for utterance in chosen if utterance.id in wanted)))

        def parts() -> None:
            for part in plan_parts(folder / "parts", chosen, "kaldi"):
                make_part(part)

        compare(
            "stage 2, one process, beside soundfile, kaldi-native-fbank and kaldiio in a loop",
            "× real time",
            frames / 100,
            parts,
            lambda: plain_features(chosen, folder / "plain"),
            args.rounds,
        )

        def stage_2(nj: int) -> Callable[[], None]:
            places = (folder / f"dump{nj}.{number}" for number in itertools.count())
            fixed = ("--data", folder / "train", "--nj", nj, "--max_unaligned", 1)
            return lambda: run("make_features", *fixed, "--out", next(places))

        compare(
            "stage 2, whole, --nj 2 beside --nj 1 (clock)",
            "× real time",
            frames / 100,
            stage_2(2),
            stage_2(1),
            args.rounds,
            time.monotonic,
        )
        dump, batches = folder / "dump1.0", max(4, args.utterances // BATCH)
        for place, cache in (("disk", False), ("memory", True)):
            compare(
                f"training's reader, from {place}, beside kaldiio, deltas and CMVN in a loop",
                "utterances/s",
                batches * BATCH,
                read_chunks(dump, batches, cache),
                lambda: plain_chunks(dump, batches, 0),
                args.rounds,
            )
        alone = seconds_of(prefetch(dump, PREFETCHED, 0, 0)) / PREFETCHED
        for wait, consumer in ((0, "one that does nothing"), (alone, f"one that waits {1000 * alone:.0f} ms a batch")):
            for workers in (1, 2):
                compare(
                    f"training's reader, from disk, num_workers {workers} beside 0, for {consumer} (clock)",
                    "utterances/s",
                    PREFETCHED * BATCH,
                    prefetch(dump, PREFETCHED, workers, wait),
                    prefetch(dump, PREFETCHED, 0, wait),
                    args.rounds,
                    time.monotonic,
                )
        if args.align:
            write_data_dir(folder / "few", chosen[: args.align])
            seconds = sum(soundfile.info(utterance.audio).duration for utterance in chosen[: args.align])

            def aligned(nj: int) -> None:
                (folder / "few/phones.ctm").unlink(missing_ok=True)
                run("align", "--set", folder / "few", "--lexicon", corpus / "lexicon.txt", "--nj", nj)

            compare(
                "stage 1, pocketsphinx, --nj 2 beside --nj 1 (clock)",
                "× real time",
                seconds,
                lambda: aligned(2),
                lambda: aligned(1),
                args.rounds,
                time.monotonic,
            )


if __name__ == "__main__":
    main()
