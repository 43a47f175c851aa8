"""vqbn-validate-data-dir: say what is wrong with Kaldi data directories, with file and line."""

import argparse
import os
import sys

from vqbn.bin.channel_option import add_channel_option
from vqbn.bin.command import command
from vqbn.defects import Defects
from vqbn.errors import InputError
from vqbn.jobs import map_jobs
from vqbn.kaldi.audio import Conversion, log_conversions, read_converted
from vqbn.kaldi.datadir import Utterance, find_problems, read_data_dir
from vqbn.kaldi.source import is_missing


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-validate-data-dir",
        description="Check that the lists of Kaldi data directories are sorted, unique and consistent. "
        "Every problem is printed with its file and line; the exit status is 1 if there is one.",
    )
    options.add_argument("data", nargs="+", metavar="DIR", help="a data directory, such as data/train")
    options.add_argument("--audio_root", help="folder that relative paths in wav.scp start from (default: the current)")
    options.add_argument("--check_audio", action="store_true", help="also read every audio file as a whole")
    add_channel_option(options)
    options.add_argument("--nj", type=int, default=len(os.sched_getaffinity(0)), help="processes that read audio")
    options.add_argument("--max_problems", type=int, default=20, help="print at most this many problems (default: 20)")
    options.add_argument(
        "--max_bad",
        type=float,
        default=0.05,
        help="share of utterances whose audio or transcript may be unusable (default: 0.05); stages leave those out",
    )
    return options


def check_audio(utterance: Utterance) -> tuple[str, Conversion]:
    """What is wrong with an utterance's audio file, if anything, and what stages will convert of it."""
    try:
        return "", read_converted(utterance.audio)[1]
    except InputError as error:
        return str(error), Conversion()


@command("vqbn-validate-data-dir")
def main(argv: list[str]) -> None:
    """Validate the directories in order; stop after the first bad one."""
    args = parser().parse_args(argv)
    for folder in args.data:
        problems = find_problems(folder, args.audio_root)
        for problem in problems[: args.max_problems]:
            print(problem, file=sys.stderr)
        if problems:
            hidden = len(problems) - args.max_problems
            note = f"; {hidden} more are not shown (--max_problems)" if hidden > 0 else ""
            raise InputError(f"{folder}: {len(problems)} problem{'s' * (len(problems) > 1)}{note}")
        data = read_data_dir(folder, args.audio_root, args.channel)
        utterances = list(data.utterances.values())
        defects = Defects("utterances", args.max_bad)
        for utterance in utterances:
            if not utterance.text:
                defects.add(utterance.id, f"{data.path / 'text'}: the transcript is empty")
            elif is_missing(utterance.audio):
                defects.add(utterance.id, f"{utterance.audio}: no such audio file")
        if args.check_audio:
            found = list(map_jobs(check_audio, utterances, args.nj, f"reading the audio of {folder}"))
            for utterance, (problem, _) in zip(utterances, found, strict=True):
                if problem:
                    defects.add(utterance.id, problem)
            log_conversions(conversion for _, conversion in found)
        defects.check(len(utterances), str(folder))
        note = f", {len(defects.reasons)} of them unusable" if defects.reasons else ""
        print(f"{folder}: good: {len(utterances):,} utterances{note}, {len(data.speakers):,} speakers")


if __name__ == "__main__":
    sys.exit(main())
