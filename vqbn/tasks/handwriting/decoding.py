"""What stage 4 leaves of a set of lines: code indices, and how many nats each line took."""

import argparse
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vqbn.corpora.packed_lines import LineDataset, read_table, write_table
from vqbn.errors import InputError
from vqbn.kaldi.archive import read_scp
from vqbn.runs.decoding import AGAIN, CODES, code_rows, read_about, write_code_archive, writing_decoding
from vqbn.runs.loaded import Loaded
from vqbn.runs.task import Decoding
from vqbn.tasks.handwriting.evaluation import score_lines
from vqbn.tasks.handwriting.pictures import draw_reconstruction, reconstruct

logger = logging.getLogger(__name__)

FIELDS = ("id", "columns", "nats")
FILES = ("lines.tsv", *CODES)
ABOUT = {"subsampling": int, "height": int}


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


def decode_set(decoding: Decoding, out: Path) -> str:
    """Score every pixel of a set's whole lines given their codes; as `Task.decode`.

    Writes the code of each latent, the nats of each line (lines.tsv) and decode.json; and into the run's images/
    pictures of some lines: original, reconstruction sampled from the decoder, the most likely one, and the codes.
    """
    loaded, args = decoding.loaded, decoding.args
    dataset = LineDataset(args.dump, args.set_name)
    if dataset.levels != loaded.about["levels"]:
        raise InputError(
            f"{Path(args.dump) / 'info.json'}: {dataset.levels} grey levels, the model {loaded.path} has "
            f"{loaded.about['levels']}; give the --dump that it was trained on"
        )
    model = loaded.model.to(decoding.device)
    scores = score_lines(model, dataset, args.batch_columns, pixels=not args.codes_only)
    bottleneck = model.bottleneck
    about = decoding.about | {"subsampling": model.subsampling, "height": dataset.height, "lines": len(dataset)}
    if scores.codes:
        about |= {"codebook_size": bottleneck.codebook_size, "num_codebooks": bottleneck.num_codebooks}
    elif loaded.config["bottleneck"] == "vq":
        logger.warning("%s: from before the first clustering: nothing is quantised, no codes", loaded.path)
    write_decoded_lines(out, DecodedLines(dataset.ids, dataset.columns, scores.nats, scores.codes, about))
    if args.codes_only:
        return f"the codes of {len(dataset)} lines"
    draw_lines(loaded, dataset, args)
    return f"{len(dataset)} lines: {scores.bpd:.4f} bits per pixel"


def draw_lines(loaded: Loaded, dataset: LineDataset, args: argparse.Namespace) -> None:
    """Draw `args.pictures` lines into the run's images/, spread over the set, which is ordered by scribe and page."""
    model, count = loaded.model.cpu(), min(args.pictures, len(dataset))
    for number in range(count):
        line = number * len(dataset) // count
        parts = reconstruct(model, dataset.pixels(line)[: args.picture_columns], seed=loaded.config["seed"])
        path = Path(args.expdir) / "images" / f"{args.set_name}_{number + 1}.png"
        title = f"{Path(args.expdir).absolute().name}, update {loaded.update:,}: {dataset.ids[line]}"
        draw_reconstruction(parts, path, dataset.levels, model.subsampling, title)
        logger.info("wrote %s", path)


def write_decoded_lines(folder: str | Path, decoded: DecodedLines) -> None:
    """Write lines.tsv, decode.json and, where there are codes, codes.ark and codes.scp; the folder appears whole.

    Raises:
        InputError: the folder holds something else.
        OSError: it can't be written; an older decoding is untouched.
    """
    with writing_decoding(folder, FILES, decoded.about) as temporary:
        rows = zip(decoded.ids, decoded.columns.tolist(), map(repr, decoded.nats.tolist()), strict=True)
        write_table(temporary / "lines.tsv", FIELDS, list(rows))
        if decoded.codes:
            write_code_archive(temporary, folder, zip(decoded.ids, decoded.codes, strict=True))


def read_decoded_lines(folder: str | Path) -> DecodedLines:
    """Read what `write_decoded_lines` wrote.

    Raises:
        InputError: a file is missing or malformed, or the codes are not those of the lines.
    """
    folder = Path(folder)
    about = read_about(folder, ABOUT)
    rows = read_table(folder / "lines.tsv", FIELDS, AGAIN)
    try:
        columns = np.array([int(row[1]) for row in rows], dtype=np.int64)
        nats = np.array([float(row[2]) for row in rows])
    except ValueError as error:
        raise InputError(f"{folder / 'lines.tsv'}: found something else than numbers ({error}); {AGAIN}") from error
    decoded = DecodedLines([row[0] for row in rows], columns, nats, [], about)
    if "codebook_size" not in about:
        return decoded
    flat = read_scp(folder / "codes.scp")
    for line, count in zip(decoded.ids, columns, strict=True):
        if line not in flat:
            raise InputError(f"{folder / 'codes.scp'}: {line!r} of lines.tsv is not here; {AGAIN}")
        codes = code_rows(flat[line], about["num_codebooks"], folder, line)
        expected = -(-int(count) // about["subsampling"])
        if len(codes) != expected:
            raise InputError(f"{folder / 'codes.scp'}: {line!r} has {len(codes)} codes, expected {expected}; {AGAIN}")
        decoded.codes.append(codes)
    return decoded
