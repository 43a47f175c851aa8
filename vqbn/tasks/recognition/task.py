"""Speech to phones or text through codes (section IV-A of the paper), as a task."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vqbn.runs.options import positive
from vqbn.runs.task import Config, Decoding, FrontEnd, Prepared, Runs, Task, norms
from vqbn.tasks.recognition.keys import KEYS
from vqbn.tasks.recognition.scores import ROWS, TUNED, development_rate

if TYPE_CHECKING:
    import numpy as np

    from vqbn.metrics.evaluation import Evaluation
    from vqbn.metrics.probe import Coded
    from vqbn.runs.loaded import Loaded
    from vqbn.runs.model_folder import ModelFolder
    from vqbn.tasks.recognition.model import Recognizer
    from vqbn.tasks.recognition.use import SpeechModel


# What computes is imported where it is used: --help and a wrong key need not wait for torch.
class RecognitionTask(Task):
    """Recognisers of phones, characters or pieces; see `Task`."""

    name = "recognition"
    keys = KEYS
    kind = "recognizer"
    score_rows = ROWS
    tuned = TUNED
    symbols = "phone"
    example = 'print(model.recognize("a.wav").text, model.units("a.wav"))'

    def check(self, config: Config) -> tuple[str, str] | None:
        token_type = config["token_type"]
        if token_type == "phn":
            return None
        if config["chunk_frames"]:
            return (
                "chunk_frames",
                f"found {config['chunk_frames']}, expected 0, whole utterances: no alignment says where a chunk's "
                f"{token_type} tokens begin",
            )
        if not config["tokens"]:
            return "tokens", f"not given; expected what vqbn-make-tokens wrote for token_type {token_type}"
        return None

    def prepare(self, config: Config) -> Prepared:
        from vqbn.tasks.recognition.training import prepare

        return prepare(config)

    def best_by(self, config: Config) -> str:
        """The error rate in phones, or with text targets in tokens."""
        return development_rate(config)

    def summary(self, point: Mapping[str, object]) -> str:
        rate = f"PER {point['dev_per']:.2f}" if "dev_per" in point else f"token error rate {point['dev_ter']:.2f}"
        text = f"{rate} %, loss {point['dev_loss']:.3f}"
        if point["perplexity"] is not None:
            text += f", perplexity {point['perplexity']:.0f}, {point['used_codes']} codes used"
        return text + norms(point)

    def speed(self, config: Config) -> tuple[float, str]:
        if not config["chunk_frames"]:
            return config["batch_size"], "utterances"
        return config["batch_size"] * config["chunk_frames"], "frames"

    def build(self, about: Mapping[str, object]) -> "Recognizer":
        from vqbn.tasks.recognition.model import build_recognizer

        return build_recognizer(about["config"], len(about["tokens"]), about["height"])

    def latents(self, loaded: "Loaded", place: Path, device: str) -> "Iterator[tuple[str, np.ndarray]]":
        from vqbn.tasks.recognition.latents import latents

        return latents(loaded, place, device)

    def front_end(self, loaded: "Loaded") -> FrontEnd:
        from vqbn.tasks.recognition.latents import front_end

        return front_end(loaded)

    def load(self, folder: "ModelFolder") -> "SpeechModel":
        from vqbn.tasks.recognition.use import SpeechModel

        return SpeechModel(folder, self)

    def add_decode_options(self, options: argparse.ArgumentParser) -> None:
        options.add_argument("--dump", required=True, help="the folder of features that stage 2 made")
        options.add_argument(
            "--beam",
            type=int,
            default=0,
            metavar="N",
            help="search with N prefixes, so that the ways to spell the same phones add up, and write "
            "decode_<set>_beam<N>; 0 reads the best path, as the paper does (default: 0)",
        )
        options.add_argument(
            "--batch_frames", type=positive, default=24000, help="padded frames per batch at most (default: 24000)"
        )

    def decoded_name(self, args: argparse.Namespace) -> str:
        from vqbn.tasks.recognition.decoding import decoded_name

        return decoded_name(args.set_name, args.beam)

    def decode(self, decoding: Decoding, out: Path) -> str:
        from vqbn.tasks.recognition.decoding import decode_set

        return decode_set(decoding, out)

    def add_score_options(self, options: argparse.ArgumentParser) -> None:
        options.add_argument(
            "--dump", required=True, help="the folder of features that stage 2 made, for alignments and speakers"
        )
        options.add_argument(
            "--beam",
            type=int,
            default=0,
            metavar="N",
            help="score what vqbn-decode --beam N wrote, beside the best path's: <set>_beam<N> in scores.json; its "
            "codes are the same, and not counted again (default: 0, the best path)",
        )

        options.add_argument(
            "--silence_phones",
            default="",
            metavar="PHONES",
            help="the phones that per_nosil and perplexity_nosil leave out, separated by blanks (default: those that "
            "stages 1 and 2 found: Kaldi's optional silence, or SIL or sil by its name)",
        )

    def score(self, args: argparse.Namespace) -> "dict[str, Evaluation]":
        from vqbn.tasks.recognition.scoring import score_sets

        return score_sets(args.expdir, args.dump, args.sets, args.beam, args.silence_phones)

    def report(self, runs: Runs) -> str:
        from vqbn.tasks.recognition.report import report

        return report(runs)

    def coded(self, model: "Recognizer", config: Config, set_name: str) -> "list[Coded]":
        from vqbn.tasks.recognition.symbols import coded_utterances

        return coded_utterances(model, config, set_name)

    def count_symbols(self, config: Config) -> int:
        from vqbn.tasks.recognition.symbols import count_phones

        return count_phones(config)


RECOGNITION = RecognitionTask()
