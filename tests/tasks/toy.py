"""A task as another package would add it, as small as it can be: vectors through a codebook and back."""

import functools
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vqbn import perplexity
from vqbn.metrics.evaluation import Evaluation
from vqbn.reports.page import every_run
from vqbn.reports.table import markdown_table, shown, spread
from vqbn.reports.variants import by_name
from vqbn.runs.build import build_bottleneck
from vqbn.runs.data import TrainingBatches
from vqbn.runs.decoding import output_folder, read_about, writing_decoding
from vqbn.runs.keys import BOTTLENECK, OPTIMISATION, RUNNING, folder, set_keys, task_key
from vqbn.runs.module import BottleneckTraining
from vqbn.runs.order import EndlessBatches
from vqbn.runs.task import Prepared, Row, Task, Tuned, norms

DIM = 6
KEYS = (
    task_key("toy"),
    folder("dump", "The folder of vectors, <set>.npy."),
    *set_keys("a file of --dump"),
    *BOTTLENECK,
    *OPTIMISATION,
    *RUNNING,
)


class ToyModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(DIM, DIM), nn.Linear(config["vq_code_dim"], DIM)
        self.bottleneck = build_bottleneck(config, DIM)

    def forward(self, x):
        codes = self.bottleneck(self.encoder(x)[:, None])
        return self.decoder(codes.quantized[:, 0]), codes

    def errors(self, vectors):
        """Squared errors (n,) and code indices (n,) of float32 (n, DIM)."""
        training = self.training
        with torch.no_grad():
            found, codes = self.eval()(torch.from_numpy(np.array(vectors)))
        self.train(training)
        return np.square(found.numpy() - vectors).sum(1), codes.indices.flatten().numpy()


class ToyTraining(BottleneckTraining):
    kind = "toy"
    losses = ("loss", "error", "vq")

    def training_step(self, x, batch_idx):
        found, codes = self.model(x)
        error = (found - x).square().mean()
        return {"loss": error + codes.loss, "error": error.detach(), "vq": codes.loss.detach()}


class VectorBatches(EndlessBatches):
    def __init__(self, vectors, batch_size, seed, **place):
        super().__init__(len(vectors), batch_size, seed, **place)
        self.vectors = vectors

    def batch(self, update):
        return torch.from_numpy(self.vectors[[self.item(*place) for place in self.places(update)]])


class ToyTask(Task):
    name = kind = "toy"
    keys = KEYS
    score_rows = {"squared_error": Row("squared error", 4), "perplexity": Row("perplexity")}  # noqa: RUF012
    tuned = Tuned("squared_error", Row("squared error", 3))

    def prepare(self, config):
        train, dev = (np.load(Path(config["dump"]) / f"{config[name]}.npy") for name in ("train_set", "dev_set"))
        torch.manual_seed(config["seed"])
        batches = functools.partial(VectorBatches, train, config["batch_size"], config["seed"])

        def evaluate(model):
            errors, codes = model.errors(dev)
            counts = np.bincount(codes[codes >= 0], minlength=config["vq_codebook_size"])
            return {
                "dev_error": float(errors.mean()),
                "quantised": bool((codes >= 0).all()),
                "perplexity": float(perplexity(counts)),
                "used_codes": int((counts > 0).sum()),
                "encoder_norm": 1.0,
            }

        module = ToyTraining(config, ToyModel(config))
        return Prepared(module, TrainingBatches(batches, config["num_workers"]), evaluate, f"{len(train)} vectors")

    def best_by(self, config):
        return "dev_error"

    def summary(self, point):
        return f"error {point['dev_error']:.3f}" + norms(point)

    def speed(self, config):
        return config["batch_size"], "vectors"

    def build(self, about):
        return ToyModel(about["config"])

    def add_decode_options(self, options):
        options.add_argument("--dump", required=True, help="the folder of vectors")

    def decode(self, decoding, out):
        vectors = np.load(Path(decoding.args.dump) / f"{decoding.args.set_name}.npy")
        errors, codes = decoding.loaded.model.errors(vectors)
        about = decoding.about | {"codebook_size": decoding.loaded.model.bottleneck.codebook_size, "num_codebooks": 1}
        with writing_decoding(out, ("errors.npy", "codes.npy"), about) as temporary:
            np.save(temporary / "errors.npy", errors)
            np.save(temporary / "codes.npy", codes)
        return f"{len(vectors)} vectors"

    def add_score_options(self, options):
        pass

    def score(self, args):
        found = {}
        for set_name in args.sets:
            place = output_folder(args.expdir, set_name)
            counts = np.bincount(np.load(place / "codes.npy"), minlength=read_about(place, {})["codebook_size"])
            scores = {"squared_error": float(np.load(place / "errors.npy").mean())}
            found[set_name] = Evaluation(scores | {"perplexity": float(perplexity(counts))}, usage=[counts.tolist()])
        return found

    def report(self, runs):
        parts = [f"# {runs.title}\n"]
        for results in runs.sections.values():
            groups = by_name(results).items()
            rows = [[name, shown(spread(each, "dev", "squared_error"), 3)] for name, each in groups]
            parts += [markdown_table(["variant", "squared error"], rows)]
            parts += [every_run(results, ["perplexity"], lambda run: [[f"{run.scores['dev']['perplexity']:.1f}"]])]
        return "\n".join(parts)


TOY = ToyTask()
