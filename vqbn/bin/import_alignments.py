"""vqbn-import-alignments (stage 1): phones and their times from Kaldi's alignments, or from a CTM."""

import argparse
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vqbn.bin.command import command
from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.files import locked
from vqbn.kaldi.ali_dirs import PATTERNS, align_commands, find_ali_dirs, rename, spellings
from vqbn.kaldi.alignment import PhoneSegment, read_phone_alignments
from vqbn.kaldi.ctm import Segment, read_ctm, write_ctm
from vqbn.kaldi.datadir import DataDir, read_data_dir
from vqbn.kaldi.features import FRAME_SHIFT
from vqbn.kaldi.silence import checked_silence, kaldi_silence, write_silence
from vqbn.kaldi.symbols import base_phones

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-import-alignments",
        description="Write DIR/phones.ctm with the phones of each utterance and their times: base phones "
        "(word position and stress stripped where the phones have them), silence kept. "
        "Utterances without an alignment are named, counted and left out.",
    )
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--kaldi_exp",
        action="append",
        metavar="DIR",
        help="a folder with Kaldi's alignment directories, one of them, or a model's folder such as exp/tri3b, which "
        "brings exp/tri3b_ali* with it; may be given several times. Each utterance is taken from the directory that "
        "covers most of its set; of equal ones from the first: the model's folder, then by name",
    )
    source.add_argument("--ctm", help="a CTM with lines 'utterance channel start duration phone', times in seconds")
    options.add_argument(
        "--set",
        dest="sets",
        action="append",
        required=True,
        metavar="DIR",
        help="a data directory, such as data/train; may be given several times",
    )
    options.add_argument(
        "--ali_dirs",
        metavar="PATTERNS",
        help="which folders in --kaldi_exp are alignment directories, patterns separated by blanks (default: "
        f"{PATTERNS[0]}, and if there are none, {PATTERNS[1]})",
    )
    options.add_argument(
        "--list_missing", action="store_true", help="write nothing; print the names of the sets without any alignment"
    )
    options.add_argument("--phones", help="Kaldi's phones.txt, where the alignment directories have none")
    for option, what in (
        ("--strip_stress", "final digits 0, 1, 2 of phones are stress: CMU's vowels have them, and nothing else"),
        ("--strip_position", "final _B, _E, _I, _S are positions in a word: all phones have one"),
    ):
        options.add_argument(
            option,
            choices=("auto", "true", "false"),
            default="auto",
            help=f"take them away: {what} (auto, the default: where it is so)",
        )
    options.add_argument(
        "--silence_phones",
        metavar="PHONES",
        help="the phones that are silence, separated by blanks, which scores without silence leave out (default: "
        "Kaldi's phones/optional_silence.txt or silence.csl in data/lang*, where there is one; else SIL or sil)",
    )
    options.add_argument(
        "--max_bad", type=float, default=0.05, help="share of a set that may lack an alignment (default: 0.05)"
    )
    return options


@command("vqbn-import-alignments")
def main(argv: list[str]) -> None:
    """Read the alignments once, then write each set's part of them."""
    args = parser().parse_args(argv)
    start = time.monotonic()
    sets = [read_data_dir(path) for path in args.sets]
    # One utterance can be broken in one directory and good in another, so these are judged below.
    broken: dict[str, str] = {}
    strip = {"auto": None, "true": True, "false": False}
    strip = strip[args.strip_stress], strip[args.strip_position]
    if args.ctm:
        sources = {args.ctm: from_ctm(Path(args.ctm), *strip)}
    else:
        patterns = [args.ali_dirs] if args.ali_dirs else PATTERNS
        folders = [folder for given in args.kaldi_exp for folder in find_ali_dirs(Path(given), patterns)]
        wanted = {form for data in sets for utterance in data.utterances.values() for form in spellings(utterance)}
        sources = {
            str(folder): from_kaldi(read_phone_alignments(folder, wanted, broken, args.phones, *strip))
            for folder in folders
        }
    for name, table in sources.items():
        logger.info("read %s: %d utterances", name, len(table))
    choices = [choose(data, sources) for data in sets]
    reasons = [
        {utt.id: broken[form] for utt in data.utterances.values() for form in spellings(utt) if form in broken}
        for data in sets
    ]
    bare = [data for data, (chosen, _), bad in zip(sets, choices, reasons, strict=True) if not chosen and not bad]
    if args.list_missing:
        print(" ".join(data.path.resolve().name for data in bare))
        return
    if bare:
        names = ", ".join(str(data.path) for data in bare)
        if len(bare) == len(sets) or args.ctm:
            raise InputError(
                f"{names}: none of its utterances is in {', '.join(sources)}; are the utterance ids the same, is it of "
                "this corpus?"
            )
        print("\n".join(["# These sets have no alignments; to make them:", *align_commands(bare, folders)]))
        raise InputError(f"{names}: {', '.join(args.kaldi_exp)} has no alignments of it; the commands above make them")
    for data, (chosen, _), bad in zip(sets, choices, reasons, strict=True):
        defects = Defects("utterances", args.max_bad)
        for utterance in data.utterances:
            if utterance not in chosen:
                defects.add(utterance, bad.get(utterance, "no alignment"))
        defects.check(len(data.utterances), str(data.path))
    if args.silence_phones is not None:
        phones = {segment.phone for chosen, _ in choices for segments in chosen.values() for segment in segments}
        silence = checked_silence(args.silence_phones, phones)
    elif args.ctm:
        silence = []
    else:
        found = (phone for folder in folders for phone in kaldi_silence(folder, args.phones))
        silence = list(dict.fromkeys(found))
    for data, (chosen, used) in zip(sets, choices, strict=True):
        write_silence(data.path, silence)
        target = data.path / "phones.ctm"
        with locked(data.path, beside=True):
            write_ctm(target, chosen, decimals=4 if args.ctm else 2)
        phones = sum(map(len, chosen.values()))
        origins = ", ".join(f"{count:,} from {source}" for source, count in used.items())
        logger.info("wrote %s: %d utterances (%s), %d phones", target, len(chosen), origins, phones)
    logger.info("imported alignments in %.1f s", time.monotonic() - start)


def from_kaldi(alignments: Mapping[str, Sequence[PhoneSegment]]) -> dict[str, list[Segment]]:
    """Give phones with lengths in frames their times in seconds."""
    table = {}
    for utterance, runs in alignments.items():
        position = 0
        segments = table[utterance] = []
        for phone, frames in runs:
            segments.append(Segment(phone, position * FRAME_SHIFT, frames * FRAME_SHIFT))
            position += frames
    return table


def from_ctm(
    path: Path, strip_stress: bool | None = None, strip_position: bool | None = None
) -> dict[str, list[Segment]]:
    """Read a CTM, and strip word position and stress from its phones as `base_phones` does."""
    table = read_ctm(path)
    phones = dict.fromkeys(segment.phone for segments in table.values() for segment in segments)
    bases = base_phones(phones, path, strip_stress, strip_position)
    return {
        utterance: [segment._replace(phone=bases[segment.phone]) for segment in segments]
        for utterance, segments in table.items()
    }


def choose(
    data: DataDir, sources: Mapping[str, Mapping[str, list[Segment]]]
) -> tuple[dict[str, list[Segment]], dict[str, int]]:
    """Take each utterance of a set from the source that covers most of the set and has it; of equal ones the first.

    Returns:
        Utterance → segments, and source → how many utterances came from it.
    """
    sources = {name: rename(data, source, name) for name, source in sources.items()}
    coverage = {name: sum(utterance in source for utterance in data.utterances) for name, source in sources.items()}
    order = sorted(sources, key=lambda name: -coverage[name])
    if equal := [name for name in order[1:] if coverage[name] == coverage[order[0]] > 0]:
        logger.info(
            "%s: taken from %s; as many of its utterances are in %s, which --kaldi_exp chooses where it is given alone",
            *(data.path, order[0], ", ".join(equal)),
        )
    chosen: dict[str, list[Segment]] = {}
    used: dict[str, int] = {}
    for utterance in data.utterances:
        for name in order:
            if utterance in sources[name]:
                chosen[utterance] = sources[name][utterance]
                used[name] = used.get(name, 0) + 1
                break
    return chosen, used


if __name__ == "__main__":
    sys.exit(main())
