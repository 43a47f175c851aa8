"""What stage 4 leaves of any set: a folder of its own in the run's, with decode.json, and code indices."""

import contextlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np

from vqbn.errors import InputError
from vqbn.files import replacing
from vqbn.kaldi.archive import write_archive, write_scp
from vqbn.runs.records import read_record, write_record

# What every decode.json says.
ABOUT = {"set": str, "checkpoint": str, "update": int, "averaged": bool}
ABOUT_CODES = {"codebook_size": int, "num_codebooks": int}
# What stages 4 and 5 write for every task.
RECORDS = ("decode.json", "details.json")
CODES = ("codes.ark", "codes.scp")
AGAIN = "decode the set again (stage 4)"


def output_folder(expdir: str | Path, name: str) -> Path:
    """Where a run's decoding of a set lies."""
    return Path(expdir) / f"decode_{name}"


@contextlib.contextmanager
def writing_decoding(folder: str | Path, files: Collection[str], about: dict[str, object]) -> Iterator[Path]:
    """Give a folder to write a decoding into; with decode.json it takes the place of an older decoding as a whole.

    Args:
        folder: where the decoding will lie.
        files: what it, and its scoring, may hold besides `RECORDS`.
        about: for decode.json, at the end of the block.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written; an older decoding is untouched.
    """
    folder = Path(folder).absolute()
    known = {*RECORDS, *files}
    others = sorted(path.name for path in folder.iterdir() if path.name not in known) if folder.is_dir() else []
    if others:
        raise InputError(f"{folder}: holds {others[0]!r}, which no decoding wrote; decode to another folder (--out)")
    with replacing(folder) as temporary:
        temporary.mkdir()
        yield temporary
        write_record(temporary / "decode.json", about)


def read_about(folder: Path, expected: dict[str, type]) -> dict[str, object]:
    """A decoding's decode.json.

    Args:
        folder: the decoding's.
        expected: key → type of its value, besides `ABOUT`; where there are codes `ABOUT_CODES` are expected too.

    Raises:
        InputError: the set is not decoded, or the file is malformed.
    """
    path, expected = folder / "decode.json", {**ABOUT, **expected}
    about = read_record(path, expected, "decode the set first (stage 4)")
    return read_record(path, {**expected, **ABOUT_CODES}, AGAIN) if "codebook_size" in about else about


def write_code_archive(temporary: Path, folder: str | Path, items: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write codes.ark and codes.scp.

    Args:
        temporary: the folder to write into.
        folder: where it will lie, which codes.scp names.
        items: names and code indices, int32 (latents, num_codebooks).
    """
    offsets = write_archive(temporary, "codes", ((name, codes.reshape(-1)) for name, codes in items))
    archive = Path(folder).absolute() / "codes.ark"
    write_scp(temporary / "codes.scp", {name: f"{archive}:{at}" for name, at in offsets.items()})


def code_rows(flat: np.ndarray, num_codebooks: int, folder: Path, name: str) -> np.ndarray:
    """(latents, num_codebooks) from the row-major vector in the archive.

    Raises:
        InputError: it is no such vector.
    """
    if flat.ndim != 1 or flat.dtype.kind != "i" or flat.size % num_codebooks:
        raise InputError(
            f"{folder / 'codes.scp'}: {name!r} is not a vector of whole numbers, {num_codebooks} per latent; {AGAIN}"
        )
    return flat.reshape(-1, num_codebooks)
