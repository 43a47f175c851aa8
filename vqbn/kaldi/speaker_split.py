"""A set's speakers in two halves: one to choose settings and checkpoints on, the other to report."""

from collections.abc import Collection, Mapping
from pathlib import Path

from vqbn.errors import InputError
from vqbn.files import write_text
from vqbn.kaldi.archive import read_scp, write_scp
from vqbn.text_files import read_lines

LISTS = ("feats.scp", "phones.scp", "utt2spk", "utt2num_frames")


def split_speakers(speakers: Collection[str], gender: Mapping[str, str] | None = None) -> tuple[list[str], list[str]]:
    """Divide speakers by a rule that anyone can repeat.

    Speakers are sorted by gender, where it is known, then by id; every second one, from the second on, is for tuning.
    So each half has its share of either gender, and the reported half is the larger one where the number is odd.

    Args:
        speakers: ids.
        gender: id → any label, for all of the speakers; None: sorted by id alone.

    Returns:
        The speakers to tune on and those to report, each sorted by id.

    Raises:
        ValueError: there are fewer than two speakers.
    """
    if len(speakers) < 2:
        raise ValueError(f"found {len(speakers)} speakers, expected at least two, one to tune on and one to report")
    order = sorted(speakers, key=lambda speaker: (gender[speaker] if gender else "", speaker))
    return sorted(order[1::2]), sorted(order[::2])


def write_subset(source: str | Path, target: str | Path, speakers: Collection[str]) -> int:
    """Write a folder of features with some of the speakers of another, whose archives it goes on using.

    Args:
        source: a folder that stage 2 made.
        target: gets the lists of the speakers' utterances, and the speakers' CMVN statistics where there are any.
        speakers: ids.

    Returns:
        How many utterances the new folder has.

    Raises:
        InputError: a list in `source` is missing or malformed, or has none of the speakers.
    """
    source, target = Path(source), Path(target)
    wanted = {utterance for utterance, speaker in read_pairs(source / "utt2spk").items() if speaker in set(speakers)}
    if not wanted:
        raise InputError(f"{source / 'utt2spk'}: none of the speakers {' '.join(sorted(speakers))}; run stage 2 again")
    target.mkdir(parents=True, exist_ok=True)
    for name in LISTS:
        if name.endswith(".scp"):
            entries = read_scp(source / name).entries
            write_scp(target / name, {utterance: entry for utterance, entry in entries.items() if utterance in wanted})
        else:
            pairs = read_pairs(source / name).items()
            lines = (f"{utterance} {value}\n" for utterance, value in pairs if utterance in wanted)
            write_text(target / name, "".join(lines))
    if (source / "cmvn.scp").is_file():
        entries = read_scp(source / "cmvn.scp").entries
        write_scp(target / "cmvn.scp", {speaker: entry for speaker, entry in entries.items() if speaker in speakers})
    else:
        (target / "cmvn.scp").unlink(missing_ok=True)
    return len(wanted)


def read_pairs(path: Path) -> dict[str, str]:
    """Lines `key value` of a Kaldi map.

    Raises:
        InputError: it can't be read, or a line is something else.
    """
    pairs: dict[str, str] = {}
    for number, line in read_lines(path, "run the stage that makes it"):
        fields = line.split()
        if len(fields) != 2 or fields[0] in pairs:
            raise InputError(f"{path}:{number}: found {line[:80]!r}; expected 'key value', each key once")
        pairs[fields[0]] = fields[1]
    return pairs
