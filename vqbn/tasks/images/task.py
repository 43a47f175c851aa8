"""Images to pixels through codes (section IV-C of the paper), as a task."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vqbn.runs.options import positive
from vqbn.runs.task import Config, Decoding, FrontEnd, Prepared, Row, Runs, Task, Tuned, likelihood_rows, norms
from vqbn.tasks.images.keys import KEYS

if TYPE_CHECKING:
    import numpy as np

    from vqbn.metrics.evaluation import Evaluation
    from vqbn.runs.loaded import Loaded
    from vqbn.runs.model_folder import ModelFolder
    from vqbn.tasks.images.model import ImageAutoencoder
    from vqbn.tasks.images.use import ImageModel


# What computes is imported where it is used: --help and a wrong key need not wait for torch.
class ImageTask(Task):
    """Autoencoders of images; see `Task`."""

    name = "images"
    keys = KEYS
    kind = "image_autoencoder"
    score_rows = likelihood_rows("bits per dimension")
    default_set = "test"
    example = 'print(model.units("picture.png"))'
    tuned = Tuned("uniform_nelbo", Row("uniform NELBO", 4))

    def prepare(self, config: Config) -> Prepared:
        from vqbn.tasks.images.training import prepare

        return prepare(config)

    def best_by(self, config: Config) -> str:
        return "dev_nelbo"

    def summary(self, point: Mapping[str, object]) -> str:
        text = f"reconstruction {point['dev_reconstruction_bpd']:.3f} bits/dim"
        if point["quantised"]:
            text = f"NELBO {point['dev_nelbo']:.4f}, {text}"
            text += f", perplexity {point['perplexity']:.1f}, {point['used_codes']} codes used"
        return text + norms(point)

    def speed(self, config: Config) -> tuple[float, str]:
        return config["batch_size"], "images"

    def build(self, about: Mapping[str, object]) -> "ImageAutoencoder":
        from vqbn.tasks.images.model import build_autoencoder

        return build_autoencoder(about["config"])

    def latents(self, loaded: "Loaded", place: Path, device: str) -> "Iterator[tuple[str, np.ndarray]]":
        from vqbn.tasks.images.latents import latents

        return latents(loaded, place, device)

    def front_end(self, loaded: "Loaded") -> FrontEnd:
        return FrontEnd()

    def load(self, folder: "ModelFolder") -> "ImageModel":
        from vqbn.tasks.images.use import ImageModel

        return ImageModel(folder, self)

    def encode(self, loaded: "Loaded", args: argparse.Namespace) -> None:
        from vqbn.tasks.images.encoding import encode_folder

        encode_folder(loaded, args)

    def add_decode_options(self, options: argparse.ArgumentParser) -> None:
        options.add_argument("--images", required=True, help="the folder of packed images that stage 0 made")
        options.add_argument("--batch_size", type=positive, default=100, help="images per batch (default: 100)")

    def decode(self, decoding: Decoding, out: Path) -> str:
        from vqbn.tasks.images.decoding import decode_set

        return decode_set(decoding, out)

    def add_score_options(self, options: argparse.ArgumentParser) -> None:
        pass

    def score(self, args: argparse.Namespace) -> "dict[str, Evaluation]":
        from vqbn.tasks.images.decoding import score_sets

        return score_sets(args.expdir, args.sets)

    def report(self, runs: Runs) -> str:
        from vqbn.tasks.images.report import report

        return report(runs)


IMAGES = ImageTask()
