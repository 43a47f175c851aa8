"""Training on packed lines against the same training that decodes its JPEGs each time and masks its kernels each step.

Run as a program: prints chunks per second of both and their ratio, and the milliseconds of an update that go into
loading; they alternate, so that a busy machine slows both.
"""

import argparse
import tempfile
from pathlib import Path
from time import process_time as clock

import torch
from masked_pixelcnn import MaskedPixelCNN

from vqbn.corpora.line_corpus import CorpusZip
from vqbn.corpora.line_image import read_line
from vqbn.corpora.mini_handwriting import make_mini_handwriting
from vqbn.corpora.packed_lines import LineDataset
from vqbn.corpora.scribblelens import pack, prepare
from vqbn.runs.config import parse_arguments
from vqbn.tasks.handwriting.data import LineChunks
from vqbn.tasks.handwriting.model import build_line_autoencoder
from vqbn.tasks.handwriting.task import HANDWRITING


class DecodingDataset(LineDataset):
    """The same lines, each decoded from the corpus's zip file whenever it is asked for.

    Args:
        dump: the folder of stage 2, for the list.
        name: the set.
        corpus: the zip file.
    """

    def __init__(self, dump: Path, name: str, corpus: Path):
        super().__init__(dump, name)
        self.corpus = CorpusZip(corpus)

    def pixels(self, line: int, start: int = 0, columns: int | None = None):
        pixels = read_line(self.corpus.read(f"{self.ids[line]}.jpg"), self.levels)
        return pixels[start:] if columns is None else pixels[start : start + columns]


def measure(corpus: Path, folder: Path, options: str, updates: int) -> dict[str, float]:
    """Chunks per second of CPU time, and milliseconds of loading per update, both ways.

    Args:
        corpus: a zip file in the layout of ScribbleLens.
        folder: for what stages 0 and 2 write.
        options: of vqbn-train.
        updates: of each way, after one that is not counted.
    """
    prepare(corpus, folder / "data")
    pack(folder / "data", folder / "dump", sets=("train",))
    config = parse_arguments([*options.split(), "--dump", "d", "--expdir", "e"], "benchmark", "", HANDWRITING.keys)
    ways = {"packed": LineDataset(folder / "dump", "train")}
    ways["decoding and masking"] = DecodingDataset(folder / "dump", "train", corpus)
    running = {}
    for name, dataset in ways.items():
        model = build_line_autoencoder(config, dataset.height, dataset.levels)
        if name != "packed":
            model.decoder = MaskedPixelCNN(model.decoder)
        optimizer = torch.optim.Adam(model.parameters(), config["learning_rate"], fused=True)
        chunks = LineChunks(dataset, config["batch_size"], config["chunk_columns"], config["chunks_per_line"])
        running[name] = (model, optimizer, iter(chunks))
    seconds, loading = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0.0)
    for update in range(updates + 1):
        for name, (model, optimizer, batches) in running.items():
            start = clock()
            batch = next(batches)
            loaded = clock()
            output = model(batch.pixels, batch.lengths)
            (output.nats.sum() / (batch.lengths.sum() * 32) + output.loss).backward()
            optimizer.step()
            optimizer.zero_grad()
            if update:
                seconds[name] += clock() - start
                loading[name] += loaded - start
    speeds = {name: updates * config["batch_size"] / time for name, time in seconds.items()}
    waits = {f"loading, {name} (ms)": 1e3 * time / updates for name, time in loading.items()}
    return {**speeds, "ratio": speeds["packed"] / speeds["decoding and masking"], **waits}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="a zip file in the layout of ScribbleLens (default: a mini corpus)")
    parser.add_argument("--options", default="", help="of vqbn-train, such as '--pixelcnn_channels 16'")
    parser.add_argument("--updates", type=int, default=10, help="of each way (default: 10)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        corpus = args.corpus or Path(place) / "mini.zip"
        if args.corpus is None:
            make_mini_handwriting(corpus, 90)
        for name, value in measure(corpus, Path(place), args.options, args.updates).items():
            print(f"{name:34} {value:.4g}")
