"""Lines of handwriting to pixels through codes (section IV-B of the paper), as a task."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vqbn.runs.options import positive
from vqbn.runs.records import read_record
from vqbn.runs.task import Config, Decoding, FrontEnd, Prepared, Row, Runs, Task, Tuned, likelihood_rows, norms
from vqbn.tasks.handwriting.keys import KEYS

if TYPE_CHECKING:
    import numpy as np

    from vqbn.metrics.evaluation import Evaluation
    from vqbn.metrics.probe import Coded
    from vqbn.runs.loaded import Loaded
    from vqbn.runs.model_folder import ModelFolder
    from vqbn.tasks.handwriting.model import LineAutoencoder
    from vqbn.tasks.handwriting.use import LineModel


# What computes is imported where it is used: --help and a wrong key need not wait for torch.
class HandwritingTask(Task):
    """Autoencoders of lines; see `Task`."""

    name = "handwriting"
    keys = KEYS
    kind = "line_autoencoder"
    score_rows: Mapping[str, Row] = likelihood_rows("bits per pixel") | {
        "character_accuracy": Row("character accuracy %", 2, 100),
        "probe_cer": Row("CER % of the index-only probe", 2),
    }
    tuned = Tuned("reconstruction_bpd", Row("bits per pixel", 4))
    symbols = "character"
    example = 'print(model.units("line.png"))'

    def prepare(self, config: Config) -> Prepared:
        from vqbn.tasks.handwriting.training import prepare

        return prepare(config)

    def best_by(self, config: Config) -> str:
        return "dev_bpd"

    def summary(self, point: Mapping[str, object]) -> str:
        text = f"{point['dev_bpd']:.4f} bits per pixel"
        if point["perplexity"] is not None:
            text += f", unigram NELBO {point['dev_unigram_nelbo']:.4f}"
            text += f", perplexity {point['perplexity']:.0f}, {point['used_codes']} codes used"
        return text + norms(point)

    def speed(self, config: Config) -> tuple[float, str]:
        return config["batch_size"] * config["chunk_columns"], "columns"

    def build(self, about: Mapping[str, object]) -> "LineAutoencoder":
        from vqbn.tasks.handwriting.model import build_line_autoencoder

        return build_line_autoencoder(about["config"], about["height"], about["levels"])

    def latents(self, loaded: "Loaded", place: Path, device: str) -> "Iterator[tuple[str, np.ndarray]]":
        from vqbn.tasks.handwriting.latents import latents

        return latents(loaded, place, device)

    def front_end(self, loaded: "Loaded") -> FrontEnd:
        info = read_record(Path(loaded.config["dump"]) / "info.json", {"binarize": str}, "run stage 2 again")
        return FrontEnd({"binarize": info["binarize"]})

    def load(self, folder: "ModelFolder") -> "LineModel":
        from vqbn.tasks.handwriting.use import LineModel

        return LineModel(folder, self)

    def add_decode_options(self, options: argparse.ArgumentParser) -> None:
        options.add_argument("--dump", required=True, help="the folder of lines that stage 2 packed")
        options.add_argument(
            "--codes_only", action="store_true", help="only the codes, which takes a fraction of the time"
        )
        options.add_argument("--pictures", type=int, default=4, help="how many lines to draw (default: 4)")
        options.add_argument(
            "--picture_columns", type=positive, default=400, help="at most so many columns of each (default: 400)"
        )
        options.add_argument("--batch_columns", type=positive, default=4096, help="columns per batch (default: 4096)")

    def decode(self, decoding: Decoding, out: Path) -> str:
        from vqbn.tasks.handwriting.decoding import decode_set

        return decode_set(decoding, out)

    def add_score_options(self, options: argparse.ArgumentParser) -> None:
        options.add_argument("--dump", required=True, help="the folder of lines that stage 2 packed")
        options.add_argument(
            "--probe_set",
            default="",
            help="with transcripts, the decoded set on which a probe that sees nothing but code indices learns to "
            "read, such as train (default: no probe)",
        )
        options.add_argument("--probe_epochs", type=int, default=20, help="visits of each of its lines (default: 20)")

    def score(self, args: argparse.Namespace) -> "dict[str, Evaluation]":
        from vqbn.tasks.handwriting.scoring import score_sets

        return score_sets(args.expdir, args.dump, args.sets, args.probe_set, args.probe_epochs)

    def report(self, runs: Runs) -> str:
        from vqbn.tasks.handwriting.report import report

        return report(runs)

    def coded(self, model: "LineAutoencoder", config: Config, set_name: str) -> "list[Coded]":
        from vqbn.tasks.handwriting.symbols import coded_lines

        return coded_lines(model, config, set_name)

    def count_symbols(self, config: Config) -> int:
        from vqbn.tasks.handwriting.symbols import count_characters

        return count_characters(config)


HANDWRITING = HandwritingTask()
