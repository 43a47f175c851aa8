"""A training step of the WSJ model: the bottleneck's share of it, and a plain model with a peer's layer beside it.

usage: python tests/benchmarks/training_step.py [--threads 1 2] [--only share peer] [--config FILE ...]

The share is of all updates of the configuration's schedule: a step without quantisation before the first clustering,
a step with it afterwards, and the clusterings themselves. The plain model is written down here with
torch.nn's own layers, without masks, and vector-quantize-pytorch's layer with moving averages in it; with equal
weights its encoder gives the same outputs, which is checked. Needs the extras `recipes` and `benchmarks`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from timing import limited_to, medians, options, print_ratio, print_row
from torch import nn

from vqbn import ReestimationSchedule, VQBottleneck
from vqbn.nets.ctc import ctc_loss
from vqbn.runs.config import parse_arguments
from vqbn.tasks.recognition.model import Recognizer, build_recognizer
from vqbn.tasks.recognition.task import RECOGNITION

TOP = Path(__file__).resolve().parents[2]
TOKENS, HEIGHT = 42, 81
QUICK = {
    "conv_channels": 4,
    "lstm_layers": 1,
    "lstm_size": 16,
    "batch_size": 2,
    "vq_codebook_size": 64,
    "vq_reservoir_size": 1280,
}


class PlainRecognizer(nn.Module):
    """The recogniser as one writes it down: every chunk is full, so nothing is masked.

    Args:
        config: of the recogniser that it is compared with.
    """

    def __init__(self, config: Mapping[str, object]):
        super().__init__()
        from vector_quantize_pytorch import VectorQuantize

        channels, size, dim = config["conv_channels"], config["lstm_size"], config["vq_code_dim"]
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, channels, 7, (1, 2), 3),
            nn.BatchNorm2d(channels),
            nn.Hardtanh(0, 20),
            nn.Conv2d(channels, channels, 7, (3, 1), 3),
            nn.BatchNorm2d(channels),
            nn.Hardtanh(0, 20),
        )
        sizes = [channels * ((HEIGHT + 1) // 2)] + [size] * (config["lstm_layers"] - 1)
        self.lstms = nn.ModuleList(
            nn.LSTM(width, size, bias=False, batch_first=True, bidirectional=True) for width in sizes
        )
        self.norm = nn.BatchNorm1d(size)
        self.projection = nn.Linear(size, dim)
        self.bottleneck = VectorQuantize(
            dim, config["vq_codebook_size"], decay=0.99, commitment_weight=0.25, rotation_trick=False
        )
        self.head = nn.Linear(dim, TOKENS)

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, time, height, channels) to (batch, latents, size)."""
        x = self.convolutions(features.permute(0, 3, 1, 2))
        x = x.permute(0, 2, 3, 1).flatten(2)
        for lstm in self.lstms:
            forward, backward = lstm(x)[0].chunk(2, dim=-1)
            x = forward + backward
        return x

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-posteriors (batch, latents, tokens), and the layer's loss."""
        x = self.encode(features)
        x = self.projection(self.norm(x.transpose(1, 2)).transpose(1, 2))
        quantized, _, loss = self.bottleneck(x)
        return self.head(quantized).log_softmax(-1), loss.sum()

    def take_encoder(self, model: Recognizer) -> None:
        """Copy the weights of the encoder of ours."""
        theirs = [*model.encoder.convolutions, *model.encoder.norms, *model.encoder.lstms]
        mine = [self.convolutions[i] for i in (0, 3, 1, 4)] + list(self.lstms)
        for target, source in zip(mine, theirs, strict=True):
            target.load_state_dict(source.state_dict())


def batch(config: Mapping[str, object]) -> dict[str, torch.Tensor]:
    """Noise in the shape of a training batch."""
    count, frames = config["batch_size"], config["chunk_frames"]
    return {
        "features": torch.randn(count, frames, HEIGHT, 3),
        "lengths": torch.full((count,), frames),
        "targets": torch.randint(1, TOKENS, (count, 8)),
        "target_lengths": torch.full((count,), 8),
    }


def stepper(model: nn.Module, data: Mapping[str, torch.Tensor], config: Mapping[str, object]) -> Callable[[], None]:
    """One update of a recogniser, ours or plain: forward, backward, clipping, Adam."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    latents = torch.full_like(data["lengths"], -(-config["chunk_frames"] // 3))
    ours = isinstance(model, Recognizer)
    if ours and isinstance(model.bottleneck, VQBottleneck):
        model.bottleneck.follow(optimizer)

    def step() -> None:
        if ours:
            output = model(data["features"], data["lengths"])
            log_probs, extra = output.log_probs, output.loss
        else:
            log_probs, extra = model(data["features"])
        loss = ctc_loss(log_probs, latents, data["targets"], data["target_lengths"]) + extra
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 20)
        optimizer.step()
        optimizer.zero_grad()

    return step


def bottleneck_alone(bottleneck: VQBottleneck, encoded: torch.Tensor) -> Callable[[], None]:
    """All that a bottleneck adds to an update but its share of the optimiser's step."""
    dummy = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    bottleneck.follow(dummy)
    encoded = encoded.detach().requires_grad_()
    lengths = torch.full((len(encoded),), encoded.shape[1])

    def step() -> None:
        codes = bottleneck(encoded, lengths=lengths)
        (codes.quantized.sum() + codes.loss).backward()
        dummy.step()
        bottleneck.zero_grad()
        encoded.grad = None

    return step


def share(args, config: Mapping[str, object]) -> None:
    """The bottleneck's part in all updates of the schedule."""
    config = {**config, "vq_normalization": "batch", "reestimation": True, "latent_mixer": False}
    data = batch(config)
    torch.manual_seed(0)
    model = build_recognizer(config, TOKENS, HEIGHT).train()
    with torch.no_grad():
        encoded, _ = model.encoder(data["features"], data["lengths"])
    size, dim, reservoir = config["vq_codebook_size"], config["vq_code_dim"], config["vq_reservoir_size"] or None
    common = {"normalization": "batch", "reservoir_size": reservoir}
    # One that never clusters, and one that clusters after its first update, which shows it a full reservoir.
    waiting = VQBottleneck(encoded.shape[2], dim, size, reestimation=ReestimationSchedule(10**9, 10**9, 1), **common)
    clustering = VQBottleneck(encoded.shape[2], dim, size, reestimation=ReestimationSchedule(2, 10**9, 10**8), **common)
    fill = bottleneck_alone(clustering, torch.randn(1, reservoir or max(20480, 20 * size), encoded.shape[2]))
    fill()
    (event,) = clustering.reestimations
    sides = {
        "whole step": stepper(model, data, config),
        "bottleneck before": bottleneck_alone(waiting, encoded),
        "bottleneck after": bottleneck_alone(clustering, encoded),
    }
    found = medians(sides, args.rounds, args.clock)
    print_row("milliseconds", found)
    schedule = ReestimationSchedule(
        config["reestimation_start"],
        config["reestimation_until"],
        config["reestimation_every"],
        config["reestimation_growth"],
    )
    clusterings, updates = len(schedule.updates()), config["max_updates"]
    before = schedule.start - 1
    # The whole step was measured before its first clustering: what quantising adds comes on top afterwards.
    quantising = found["bottleneck after"] - found["bottleneck before"]
    ours = before * found["bottleneck before"] + (updates - before) * found["bottleneck after"]
    ours += clusterings * event.seconds
    whole = updates * found["whole step"] + (updates - before) * quantising + clusterings * event.seconds
    print(f"    a clustering of {event.vectors} vectors: {event.seconds:.2f} s; {clusterings} in {updates} updates")
    print_ratio("share of the whole schedule", ours / whole, 0.05, True)


def peer(args, config: Mapping[str, object]) -> None:
    """The whole step beside the plain model's, each with moving averages, as the peer's layer learns."""
    config = {**config, "vq_normalization": "batch", "vq_update": "ema", "reestimation": False, "latent_mixer": False}
    data = batch(config)
    torch.manual_seed(0)
    model, plain = build_recognizer(config, TOKENS, HEIGHT).train(), PlainRecognizer(config).train()
    plain.take_encoder(model)
    with torch.no_grad():
        equal = torch.allclose(
            model.encoder(data["features"], data["lengths"])[0], plain.encode(data["features"]), atol=1e-4
        )
    print(f"    the encoders' outputs are {'equal' if equal else 'NOT EQUAL'}")
    sides = {"ours": stepper(model, data, config), "plain, vqp EMA": stepper(plain, data, config)}
    found = medians(sides, args.rounds, args.clock)
    print_row("milliseconds", found)
    print_ratio("plain / ours", found["plain, vqp EMA"] / found["ours"], 1.0, False)
    with torch.no_grad():
        encoders = {
            "ours": lambda: model.encoder(data["features"], data["lengths"]),
            "plain": lambda: plain.encode(data["features"]),
        }
        print_row("encoder, forward", medians(encoders, args.rounds, args.clock))


PARTS = {"share": share, "peer": peer}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="some of the parts")
    parser.add_argument(
        "--config", action="append", help="configurations of the model (default: egs/wsj/conf/base.yaml)"
    )
    args = parser.parse_args()
    files = args.config or [str(TOP / "egs/wsj/conf/base.yaml")]
    words = [word for file in files for word in ("--config", file)]
    if args.quick:
        words += [f"--{name}={value}" for name, value in QUICK.items()]
    config = parse_arguments([*words, "--dump", "none", "--expdir", "none"], "training_step", "", RECOGNITION.keys)
    for threads in args.threads:
        with limited_to(threads):
            for name in args.only:
                size = f"{config['batch_size']} x {config['chunk_frames']} frames"
                print(f"\n{name}: {size}, {config['vq_codebook_size']} codewords")
                PARTS[name](args, config)


if __name__ == "__main__":
    main()
