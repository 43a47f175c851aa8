"""vqbn-make-features (stage 2): features of data directories, joined with their alignments, and CMVN statistics."""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqbn.bin.channel_option import add_channel_option
from vqbn.bin.command import command
from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.files import locked, write_text
from vqbn.jobs import map_jobs
from vqbn.kaldi.archive import write_archive, write_scp
from vqbn.kaldi.audio import log_conversions
from vqbn.kaldi.cmvn import Cmvn, accumulate_groups, write_cmvn
from vqbn.kaldi.ctm import Segment, read_ctm
from vqbn.kaldi.datadir import DataDir, read_data_dir
from vqbn.kaldi.deltas import add_deltas
from vqbn.kaldi.feature_parts import (
    Part,
    PartContent,
    find_part,
    make_part,
    plan_parts,
    remove_other_parts,
)
from vqbn.kaldi.features import BACKENDS, FRAME_SHIFT
from vqbn.kaldi.join import SHORT, Run, encode, join, summarise
from vqbn.kaldi.silence import FILE as SILENCE_FILE
from vqbn.kaldi.silence import read_silence, write_silence
from vqbn.kaldi.tokens import BLANK, Tokens

logger = logging.getLogger(__name__)

# Starting a process takes about as long as the statistics of this many frames.
FRAMES_WORTH_A_PROCESS = 2_000_000
# No speaker's name, as those are not empty.
EVERYONE = ""


@dataclass
class Set:
    """One data directory on its way through the stage.

    Attributes:
        data: its lists.
        folder: where its features go.
        defects: utterances that can't be used.
        unaligned: utterances without an alignment, which have a limit of their own.
        alignments: utterance → segments in seconds.
        parts: what its features are divided into.
        contents: the parts that are made.
        joined: utterance → phones in frames.
    """

    data: DataDir
    folder: Path
    defects: Defects
    unaligned: Defects
    alignments: dict[str, list[Segment]]
    parts: list[Part] = field(default_factory=list)
    contents: list[PartContent] = field(default_factory=list)
    joined: dict[str, list[Run]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The set's name: the last part of its folder's."""
        return self.folder.name

    @property
    def frames(self) -> dict[str, int]:
        """Utterance → frames of features."""
        return {utterance: count for content in self.contents for utterance, count in content.frames.items()}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-make-features",
        description="Compute 80 log mel bins and energy for each utterance, join them with DIR/phones.ctm, and take "
        "the tokens and the CMVN statistics from the training set. What an earlier run finished is used again.",
    )
    options.add_argument(
        "--data", action="append", required=True, metavar="DIR", help="a data directory; may be given several times"
    )
    options.add_argument("--train_set", default="train", help="the set that gives tokens and CMVN (default: train)")
    options.add_argument("--out", default="dump", help="folder for the features, one folder per set (default: dump)")
    options.add_argument("--audio_root", help="folder that relative paths in wav.scp start from (default: the current)")
    add_channel_option(options)
    options.add_argument("--nj", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: all cores)")
    options.add_argument(
        "--feature_backend",
        choices=sorted(BACKENDS),
        default="kaldi",
        help="kaldi-native-fbank or torchaudio; they agree to 1e-4 on average (default: kaldi)",
    )
    options.add_argument(
        "--cmvn",
        choices=("global", "speaker"),
        default="global",
        help="the training set's statistics for everyone, or also each speaker's own, in <set>/cmvn.ark and cmvn.scp; "
        "the models to be trained with those take --cmvn speaker too (default: global)",
    )
    options.add_argument(
        "--max_bad",
        type=float,
        default=0.05,
        help="share of a set that may be unusable and is left out (default: 0.05)",
    )
    options.add_argument(
        "--max_unaligned",
        type=float,
        default=0.15,
        help="share of a set that may lack an alignment and is left out (default: 0.15)",
    )
    return options


@command("vqbn-make-features")
def main(argv: list[str]) -> None:
    """Compute features, join, count."""
    args = parser().parse_args(argv)
    with locked(args.out):
        make_features(args)


def make_features(args: argparse.Namespace) -> None:
    """Do the whole stage."""
    start = time.monotonic()
    out = Path(args.out)
    sets = open_sets(args, out)
    compute_features(sets, args.feature_backend, args.nj)
    sets.sort(key=lambda each: each.name != args.train_set)
    tokens = None
    for each in sets:
        is_train = each.name == args.train_set
        if tokens is None and not is_train:
            tokens = Tokens.read(out / "tokens.txt")
        join_set(each, known=None if is_train else tokens.index)
        if is_train:
            tokens = make_tokens(each, sets, out)
        write_set(each, tokens)
    for each in sets:
        write_statistics(each, each.name == args.train_set, args.cmvn == "speaker", args.nj)
    write_report(sets, out, read_silence(out, tokens))
    logger.info("stage 2 took %.1f s", time.monotonic() - start)


def open_sets(args: argparse.Namespace, out: Path) -> list[Set]:
    """Read the data directories and their alignments before any long work.

    Raises:
        InputError: a directory is bad, two have the same name, or the training set is not among them and was not
            made before.
    """
    sets = []
    for path in args.data:
        data = read_data_dir(path, args.audio_root, args.channel)
        name = data.path.resolve().name
        if any(each.name == name for each in sets):
            raise InputError(f"{path}: two data directories are named '{name}'; rename one of them")
        ctm = data.path / "phones.ctm"
        if not ctm.is_file():
            raise InputError(f"{ctm}: no such file; stage 1 (alignments) makes it")
        unaligned = Defects("utterances", args.max_unaligned, "--max_unaligned")
        sets.append(Set(data, out / name, Defects("utterances", args.max_bad), unaligned, read_ctm(ctm)))
        logger.info("read %s: %d utterances, %d speakers", path, len(data.utterances), len(data.speakers))
    if all(each.name != args.train_set for each in sets) and not (out / "tokens.txt").is_file():
        raise InputError(
            f"--train_set {args.train_set}: no --data directory has that name, and {out / 'tokens.txt'} isn't there; "
            "give the training set's directory too"
        )
    return sets


def compute_features(sets: Sequence[Set], backend: str, nj: int) -> None:
    """Make the parts that aren't there yet, those of all sets in one pool of processes.

    Raises:
        InputError: too many utterances of a set can't be used.
    """
    begin = time.monotonic()
    todo = []
    for each in sets:
        usable = []
        for utterance in each.data.utterances.values():
            if utterance.text:
                usable.append(utterance)
            else:
                each.defects.add(utterance.id, f"{each.data.path / 'text'}: the transcript is empty")
        each.parts = plan_parts(each.folder, usable, backend)
        remove_other_parts(each.parts)
        found = [find_part(part) for part in each.parts]
        each.contents = [content for content in found if content is not None]
        todo += [part for part, content in zip(each.parts, found, strict=True) if content is None]
        if each.contents:
            logger.info("%s: %d of %d parts are there already", each.folder, len(each.contents), len(each.parts))
    made = {content.part.ark: content for content in map_jobs(make_part, todo, nj, "computing features, parts")}
    for each in sets:
        there = {content.part.number: content for content in each.contents}
        there |= {part.number: made[part.ark] for part in each.parts if part.ark in made}
        each.contents = [there[number] for number in sorted(there)]
        for content in each.contents:
            for utterance, reason in content.defects.items():
                each.defects.add(utterance, reason)
    log_conversions(
        conversion for each in sets for content in each.contents for conversion in content.conversions.values()
    )
    for each in sets:
        each.defects.check(len(each.data.utterances), str(each.data.path))
    seconds = time.monotonic() - begin
    frames = sum(sum(content.frames.values()) for content in made.values())
    if frames:
        speed = frames * FRAME_SHIFT / seconds
        logger.info("computed %d frames in %.1f s, %.0f times real time", frames, seconds, speed)


def join_set(each: Set, known: Iterable[str] | None) -> None:
    """Join a set's frames with its alignments.

    Raises:
        InputError: too many utterances have no alignment, or one that doesn't fit.
    """
    each.joined = join(each.frames, each.alignments, each.defects, each.unaligned, known)
    each.unaligned.check(len(each.data.utterances), str(each.data.path / "phones.ctm"))
    each.defects.check(len(each.data.utterances), str(each.data.path))
    if not each.joined:
        raise InputError(f"{each.data.path}: no utterance is left")


def make_tokens(train: Set, sets: Sequence[Set], out: Path) -> Tokens:
    """Write the phones of the training set as tokens.

    Raises:
        InputError: another set in the dump was made with other tokens, and isn't made again now.
    """
    phones = {run.phone for runs in train.joined.values() for run in runs if run.phone is not None}
    tokens = Tokens([BLANK, *sorted(phones)])
    path = out / "tokens.txt"
    if path.is_file() and Tokens.read(path).symbols != tokens.symbols:
        stale = {scp.parent.name for scp in out.glob("*/phones.scp")} - {each.name for each in sets}
        if stale:
            name = min(stale)
            raise InputError(
                f"{out / name}: was made with other phones than {train.data.path} has now; give --data for it too, or "
                "remove it"
            )
    tokens.write(path)
    listed = train.data.path / SILENCE_FILE
    write_silence(out, read_silence(train.data.path, tokens) if listed.is_file() else [])
    silence = read_silence(out, tokens)
    if silence:
        logger.info("silence: %s", " ".join(silence))
    else:
        logger.warning(
            "no phone is known as silence, so that scores without silence are those with it; stage 1 and vqbn-score "
            "take --silence_phones"
        )
    return tokens


def write_set(each: Set, tokens: Tokens) -> None:
    """Write the files of a set that say which utterances joined, and how."""
    frames = each.frames
    places = {key: entry for content in each.contents for key, entry in content.archive.entries.items()}
    order = sorted(each.joined)
    write_archive(each.folder, "phones", ((key, encode(each.joined[key], tokens.index)) for key in order))
    write_scp(each.folder / "feats.scp", {key: places[key] for key in order})
    write_text(each.folder / "utt2spk", "".join(f"{key} {each.data.utterances[key].speaker}\n" for key in order))
    write_text(each.folder / "text", "".join(f"{key} {each.data.utterances[key].text}\n" for key in order))
    write_text(each.folder / "utt2num_frames", "".join(f"{key} {frames[key]}\n" for key in order))
    logger.info("wrote %s: %d utterances", each.folder, len(order))


def write_statistics(each: Set, for_all: bool, by_speaker: bool, nj: int) -> None:
    """Write CMVN statistics over a set's joined utterances: static features and both derivatives.

    Args:
        each: the set.
        for_all: write those of all its frames together, beside the set's folder.
        by_speaker: write those of each speaker in the set's folder; if not, what an earlier run left there is removed.
        nj: processes.
    """
    begin = time.monotonic()
    if not by_speaker:
        for name in ("cmvn.scp", "cmvn.ark"):
            (each.folder / name).unlink(missing_ok=True)
    if not for_all and not by_speaker:
        return
    sums = sum_frames(each, for_all, by_speaker, nj)
    frames = sum(each.frames[utterance] for utterance in each.joined)
    if for_all:
        path = each.folder.parent / "cmvn.ark"
        write_cmvn(path, sums.pop(EVERYONE))
        logger.info("wrote %s from %d frames in %.1f s", path, frames, time.monotonic() - begin)
    if by_speaker:
        write_archive(each.folder, "cmvn", ((speaker, sums[speaker].stats) for speaker in sorted(sums)))
        path = each.folder / "cmvn.scp"
        logger.info("wrote %s: %d speakers in %.1f s", path, len(sums), time.monotonic() - begin)


def sum_frames(each: Set, for_all: bool, by_speaker: bool, nj: int) -> dict[str, Cmvn]:
    """Statistics of everyone together, of each speaker, or both, over a set's joined utterances."""
    chosen = []
    for content in each.contents:
        groups = {
            key: [EVERYONE] * for_all + [each.data.utterances[key].speaker] * by_speaker
            for key in content.frames
            if key in each.joined
        }
        if groups:
            chosen.append((content, groups))
    processes = nj if sum(each.frames.values()) > FRAMES_WORTH_A_PROCESS else 1
    total: dict[str, Cmvn] = {}
    for sums in map_jobs(sum_part, chosen, processes, "CMVN, parts"):
        for group, cmvn in sums.items():
            total[group] = total[group] + cmvn if group in total else cmvn
    return total


def sum_part(chosen: tuple[PartContent, dict[str, Collection[str]]]) -> dict[str, Cmvn]:
    """The statistics of a part's groups: utterance → the groups that it belongs to."""
    content, groups = chosen
    archive = content.archive
    return accumulate_groups((groups[utterance], add_deltas(archive[utterance])) for utterance in groups)


def write_report(sets: Sequence[Set], out: Path, silence: Collection[str]) -> None:
    """Write what was joined and what was left out, as JSON and for reading; sets of earlier runs are kept."""
    path = out / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = {}
    for each in sets:
        left_out = each.unaligned.reasons | each.defects.reasons
        report[each.name] = {
            "data": str(each.data.path),
            "utterances_given": len(each.data.utterances),
            "left_out": dict(sorted(left_out.items())),
            **summarise(each.joined, silence),
        }
    write_text(path, json.dumps(report, indent=1) + "\n")
    text = "\n".join(describe(name, entry) for name, entry in report.items())
    write_text(out / "report.txt", text)
    for name in (each.name for each in sets):
        logger.info("%s", describe(name, report[name]).partition("\n\n")[0].replace("\n", "; "))
    logger.info("wrote %s", out / "report.txt")


def describe(name: str, entry: Mapping) -> str:
    """One set of the report in words and a table."""
    ms = 1000 * FRAME_SHIFT
    largest = entry["largest_share"]
    lines = [
        f"{name}: {entry['utterances']:,} of {entry['utterances_given']:,} utterances, "
        f"{len(entry['left_out']):,} left out",
        f"{entry['frames']:,} frames ({entry['hours']:.2f} h), {entry['gap_frames']:,} without a phone",
        f"{entry['phones']:,} phones of {len(entry['by_phone'])} kinds, {entry['mean_frames'] * ms:.0f} ms on "
        f"average, {entry['shortest_share']:.1%} of them {SHORT * ms:.0f} ms or shorter; {largest['phone']} has "
        f"{largest['share']:.1%} of the frames",
        *describe_dominated(entry.get("dominated", []), entry["utterances"]),
        "",
        "phone      count  mean ms  shortest  longest    share",
    ]
    for phone, row in entry["by_phone"].items():
        lines.append(
            f"{phone:6} {row['count']:9,} {row['mean_frames'] * ms:8.0f} {row['shortest'] * ms:9.0f} "
            f"{row['longest'] * ms:8.0f} {row['frames'] / entry['frames']:8.2%}"
        )
    if entry["left_out"]:
        lines += ["", "left out:", *(f"{utterance}: {reason}" for utterance, reason in entry["left_out"].items())]
    return "\n".join(lines) + "\n"


def describe_dominated(dominated: Sequence[str], utterances: int) -> list[str]:
    """A line on utterances that one phone fills, which is how a bad alignment shows; nothing if there are none."""
    if not dominated:
        return []
    judgement = "the alignment is bad" if len(dominated) > 0.01 * utterances else "listen to them"
    return [
        f"one phone covers half or more of {len(dominated):,} utterances ({len(dominated) / utterances:.1%}): "
        f"{judgement}; the first: {' '.join(dominated[:5])}"
    ]


if __name__ == "__main__":
    sys.exit(main())
