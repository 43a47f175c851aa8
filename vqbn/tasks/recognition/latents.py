"""What a trained recogniser hands its bottleneck."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from vqbn.kaldi.audio import SAMPLE_RATE
from vqbn.kaldi.cmvn import read_cmvn
from vqbn.kaldi.features import FRAME_SHIFT
from vqbn.kaldi.speech import open_set
from vqbn.kaldi.tokens import Tokens
from vqbn.nets.compared import compared
from vqbn.runs.loaded import Loaded
from vqbn.runs.task import FrontEnd
from vqbn.tasks.recognition.data import whole_utterances

BATCH_FRAMES = 24000


def front_end(loaded: Loaded) -> FrontEnd:
    """How a recogniser's input is made; as `Task.front_end`."""
    cmvn = loaded.config.get("cmvn", "global")
    settings = {"sample_rate": SAMPLE_RATE, "frame_shift": FRAME_SHIFT, "cmvn": cmvn}
    settings["mel_bins"] = loaded.about["height"] - 1  # the other one is the energy
    if cmvn == "speaker":
        return FrontEnd(settings)
    statistics = read_cmvn(Path(loaded.config["dump"]) / "cmvn.ark")
    return FrontEnd(settings, {"mean": torch.from_numpy(statistics.mean), "std": torch.from_numpy(statistics.std)})


@torch.no_grad()
def latents(loaded: Loaded, folder: Path, device: str) -> Iterator[tuple[str, np.ndarray]]:
    """The vectors of a set of utterances, a folder that stage 2 made; as `Task.latents`."""
    model = loaded.model.to(device)
    dump = folder.absolute().parent
    tokens = Tokens.read(dump / "tokens.txt")
    dataset = open_set(dump, folder.name, tokens, loaded.config.get("cmvn", "global"))
    for names, batch in whole_utterances(dataset, BATCH_FRAMES):
        encoded, lengths = model.encoder(batch.features.to(device), batch.lengths.to(device))
        yield from zip(names, compared(model.bottleneck, encoded, lengths), strict=True)
