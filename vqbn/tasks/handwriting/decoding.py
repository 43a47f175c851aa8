"""What stage 4 leaves of a set of lines: code indices, and how many nats each line took."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vqbn.corpora.packed_lines import read_table, write_table
from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.kaldi.archive import read_scp, write_archive, write_scp
from vqbn.runs.records import read_record, write_record
from vqbn.tasks.recognition.decoding import code_rows

FIELDS = ("id", "columns", "nats")
FILES = ("lines.tsv", "codes.ark", "codes.scp", "decode.json", "details.json")
ABOUT = {"set": str, "checkpoint": str, "update": int, "subsampling": int, "height": int, "averaged": bool}
ABOUT_CODES = {"codebook_size": int, "num_codebooks": int}


@dataclass
class DecodedLines:
    """A decoded set of lines.

    Attributes:
        ids: of the lines.
        columns: int64, of each.
        nats: float64, −ln p(line | codes) of each; NaN where only the codes were asked for.
        codes: int32 (latents, num_codebooks) of each; empty where nothing was quantised.
        about: what `decode.json` says: set, checkpoint, update, subsampling, height, averaged, and with codes
            codebook_size and num_codebooks.
    """

    ids: list[str]
    columns: np.ndarray
    nats: np.ndarray
    codes: list[np.ndarray] = field(default_factory=list)
    about: dict[str, object] = field(default_factory=dict)

    @property
    def bpd(self) -> float:
        """Bits per pixel, over all pixels of all lines."""
        return float(self.nats.sum() / (self.columns.sum() * self.about["height"]) / np.log(2))


def write_decoded_lines(folder: str | Path, decoded: DecodedLines) -> None:
    """Write lines.tsv, decode.json and, where there are codes, codes.ark and codes.scp; the folder appears whole.

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
        rows = zip(decoded.ids, decoded.columns.tolist(), map(repr, decoded.nats.tolist()), strict=True)
        write_table(temporary / "lines.tsv", FIELDS, list(rows))
        if decoded.codes:
            items = ((line, codes.reshape(-1)) for line, codes in zip(decoded.ids, decoded.codes, strict=True))
            offsets = write_archive(temporary, "codes", items)
            # The ark is about to move with its folder.
            write_scp(temporary / "codes.scp", {line: f"{folder / 'codes.ark'}:{at}" for line, at in offsets.items()})
        write_record(temporary / "decode.json", decoded.about)


def read_decoded_lines(folder: str | Path) -> DecodedLines:
    """Read what `write_decoded_lines` wrote.

    Raises:
        InputError: a file is missing or malformed, or the codes are not those of the lines.
    """
    folder = Path(folder)
    again = "decode the set again (stage 4)"
    about = read_record(folder / "decode.json", ABOUT, "decode the set first (stage 4)")
    rows = read_table(folder / "lines.tsv", FIELDS, again)
    try:
        columns = np.array([int(row[1]) for row in rows], dtype=np.int64)
        nats = np.array([float(row[2]) for row in rows])
    except ValueError as error:
        raise InputError(f"{folder / 'lines.tsv'}: found something else than numbers ({error}); {again}") from error
    decoded = DecodedLines([row[0] for row in rows], columns, nats, [], about)
    if "codebook_size" not in about:
        return decoded
    read_record(folder / "decode.json", {**ABOUT, **ABOUT_CODES}, again)
    flat = read_scp(folder / "codes.scp")
    for line, count in zip(decoded.ids, columns, strict=True):
        if line not in flat:
            raise InputError(f"{folder / 'codes.scp'}: {line!r} of lines.tsv is not here; {again}")
        codes = code_rows(flat[line], about["num_codebooks"], folder, line)
        expected = -(-int(count) // about["subsampling"])
        if len(codes) != expected:
            raise InputError(f"{folder / 'codes.scp'}: {line!r} has {len(codes)} codes, expected {expected}; {again}")
        decoded.codes.append(codes)
    return decoded
