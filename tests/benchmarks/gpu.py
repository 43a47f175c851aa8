"""On a GPU: the fused lookup, k-means, and a training step of the WSJ model, each beside what others use.

usage: python tests/benchmarks/gpu.py [--only lookup blocks kmeans step compiled] [--device cuda] [--quick]

lookup: against vector-quantize-pytorch's layer in evaluation, torch.cdist + argmin, and a product in tiles whose scores
are written to memory. blocks: the fused kernel with other tiles. kmeans: against the time that 2NKD operations per
iteration take at the rate of a float32 product on the same device. step: forward, backward, clipping and Adam of ours
beside the same model written plainly with vector-quantize-pytorch's layer in it; compiled: both after torch.compile.
Times are medians by the device's clock, all sides in turn. Needs the extras `recipes` and `benchmarks`.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import torch
from training_step import HEIGHT, QUICK, TOKENS, TOP, PlainRecognizer, batch, stepper

from vqbn import kmeans
from vqbn.bottleneck import lookup
from vqbn.bottleneck.kmeans import kmeans_inertia
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.runs.config import parse_arguments
from vqbn.tasks.recognition.model import build_recognizer
from vqbn.tasks.recognition.task import RECOGNITION

Sides = dict[str, Callable[[], object]]
# Beyond so many scores a side that holds them all, in several copies, is left out.
MOST_SCORES = {"vqp": 1 << 30, "cdist": 1 << 32}


def medians(sides: Sides, device: torch.device, rounds: int) -> dict[str, float]:
    """Median milliseconds of each side, called in turn; three rounds before that aren't counted."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 3):
        for name, side in sides.items():
            if device.type == "cuda":
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                torch.cuda.synchronize()
                start.record()
                side()
                end.record()
                torch.cuda.synchronize()
                milliseconds = start.elapsed_time(end)
            else:
                began = time.perf_counter()
                side()
                milliseconds = (time.perf_counter() - began) * 1e3
            if number >= 3:
                found[name].append(milliseconds)
    return {name: statistics.median(values) for name, values in found.items()}


def peak(side: Callable[[], object], device: torch.device) -> float:
    """MiB that a call takes at most beyond what there was before it; not a number on the CPU."""
    if device.type != "cuda":
        return float("nan")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    side()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def tiled(x: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
    """The lookup without the kernel: scores of 8 million entries at a time, written and read."""
    rows = max(32, (1 << 23) // len(codebook))
    halves = codebook.square().sum(1) / 2
    return torch.cat([torch.addmm(halves, some, codebook.t(), alpha=-1).argmin(1) for some in x.split(rows)])


def vqp_layer(codebook: torch.Tensor) -> torch.nn.Module:
    """vector-quantize-pytorch's layer with these codewords."""
    from vector_quantize_pytorch import VectorQuantize

    layer = VectorQuantize(codebook.shape[1], len(codebook), decay=0.99, rotation_trick=False)
    layer = layer.to(codebook.device).eval()
    layer._codebook.embed.data.copy_(codebook[None])
    return layer


def vectors(count: int, dim: int, device: torch.device) -> torch.Tensor:
    """Noise; the same in every run."""
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(count + dim)).to(device)


def time_lookup(args: argparse.Namespace) -> None:
    """One row for each number of vectors and codewords."""
    sizes = [(n, k, 64) for n in (4096, 20480, 262144) for k in (512, 2048, 8192, 65536)]
    sizes += [(20480, 4096, 128), (262144, 65536, 128)]
    if args.quick:
        sizes = [(300, 100, 16)]
    print(
        "| N | K | D | fused ms | TFLOP/s | vqp ms | cdist + argmin ms | tiled ms | MiB: fused | vqp | cdist | tiled |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for count, size, dim in sizes:
        x, codebook = vectors(count, dim, args.device), vectors(size, dim, args.device)
        sides: Sides = {"fused": lambda x=x, codebook=codebook: nearest_codes(x, codebook)}
        if count * size <= MOST_SCORES["vqp"]:
            layer = vqp_layer(codebook)
            sides["vqp"] = lambda x=x, layer=layer: layer(x[None])[1]
        if count * size <= MOST_SCORES["cdist"]:
            sides["cdist"] = lambda x=x, codebook=codebook: torch.cdist(x, codebook).argmin(1)
        sides["tiled"] = lambda x=x, codebook=codebook: tiled(x, codebook)
        with torch.no_grad():
            found = medians(sides, args.device, args.rounds if count * size < 1 << 31 else 3)
            memory = {name: peak(side, args.device) for name, side in sides.items()}
        cells = [f"{found[name]:.3f}" if name in found else "too large" for name in ("vqp", "cdist", "tiled")]
        space = [f"{memory[name]:,.0f}" if name in memory else "–" for name in ("fused", "vqp", "cdist", "tiled")]
        rate = 2 * count * size * dim / found["fused"] / 1e9
        cells = [f"{found['fused']:.3f}", f"{rate:.1f}", *cells, *space]
        print(f"| {count:,} | {size:,} | {dim} | {' | '.join(cells)} |", flush=True)
    disagreement(args)


def disagreement(args: argparse.Namespace) -> None:
    """How often each lookup chooses another codeword than float64, with and without an offset of 5."""
    count, size, dim = (300, 100, 16) if args.quick else (16384, 8192, 64)
    for offset in (0, 5):
        x, codebook = vectors(count, dim, args.device) + offset, vectors(size, dim, args.device) + offset
        exact = torch.cat([torch.cdist(rows, codebook.double()).argmin(1) for rows in x.double().split(2048)])
        found = {
            "fused": nearest_codes(x, codebook),
            "cdist": torch.cdist(x, codebook).argmin(1),
            "tiled": tiled(x, codebook),
        }
        shares = ", ".join(f"{name} {float((indices != exact).double().mean()):.3%}" for name, indices in found.items())
        print(f"other than float64, offset {offset}, {count:,} x {size:,} x {dim}: {shares}", flush=True)


def time_blocks(args: argparse.Namespace) -> None:
    """The fused kernel with other tiles and precisions, 20,480 vectors and 8,192 codewords."""
    from vqbn.bottleneck import fused_lookup

    normal, tiles = fused_lookup._precision, fused_lookup._TILES
    for dim in (64, 128):
        x, codebook = vectors(20480, dim, args.device), vectors(8192, dim, args.device)
        exact = torch.cat([torch.cdist(rows, codebook.double()).argmin(1) for rows in x.double().split(2048)])
        tried = [(128, 64, 4, 3), (128, 64, 8, 3), (128, 128, 8, 3), (64, 64, 4, 3), (64, 128, 4, 3), (128, 32, 4, 3)]
        for blocks in tried if not args.quick else tried[:1]:
            for precision in ("tf32x3", "ieee", "tf32") if blocks == tried[0] else ("tf32x3",):
                fused_lookup._TILES = ((128, (*blocks[:2], dim, *blocks[2:])),)
                fused_lookup._precision = lambda device, precision=precision: precision
                label = f"D {dim} {blocks} {precision}"
                lookup._not_fused.clear()
                indices = lookup._fused(x[:, None], codebook[None])
                if indices is None:
                    print(f"{label}: does not fit", flush=True)
                    continue
                wrong = float((indices[:, 0] != exact).double().mean())
                side = functools.partial(nearest_codes, x, codebook)
                milliseconds = medians({"ours": side}, args.device, args.rounds)["ours"]
                rate = 2 * 20480 * 8192 * dim / milliseconds / 1e9
                print(f"{label}: {milliseconds:.3f} ms, {rate:.1f} TFLOP/s, {wrong:.3%} other", flush=True)
    fused_lookup._precision, fused_lookup._TILES = normal, tiles
    lookup._not_fused.clear()


def time_kmeans(args: argparse.Namespace) -> None:
    """Seconds of a clustering with 20 iterations, and their multiple of the bound."""
    a = torch.randn(4096, 4096, device=args.device)
    rate = 2 * 4096**3 / medians({"product": lambda: a @ a}, args.device, 5)["product"] * 1e3
    print(f"a float32 product: {rate / 1e12:.1f} TFLOP/s")
    sizes = [(20480, 64, 2048), (20480, 128, 4096), (81920, 64, 2048), (262144, 64, 8192)]
    for count, dim, size in sizes if not args.quick else [(300, 8, 20)]:
        x = vectors(count, dim, args.device)
        for seeding in ("random", "k-means||"):
            # The first time counts kernels that are compiled.
            for _ in range(2):
                began = time.perf_counter()
                centroids = kmeans(x, size, init=seeding, generator=torch.Generator().manual_seed(1))
                inertia = kmeans_inertia(x, centroids)[0]
                seconds = time.perf_counter() - began
            bound = 20 * 2 * count * size * dim / rate
            print(
                f"k-means {count:,} x {dim} to {size:,}, {seeding}: {seconds:.3f} s, {seconds / bound:.1f} times the "
                f"bound; mean error {inertia / count:.3f}",
                flush=True,
            )


def models(args: argparse.Namespace) -> tuple[dict[str, object], dict[str, torch.Tensor], dict[str, torch.nn.Module]]:
    """Configuration, a batch, and both recognisers with moving averages."""
    words = ["--config", str(TOP / "egs/wsj/conf/base.yaml"), "--dump", "none", "--expdir", "none"]
    if args.quick:
        words += [f"--{name}={value}" for name, value in QUICK.items()]
    config = parse_arguments(words, "gpu", "", RECOGNITION.keys)
    config |= {"vq_normalization": "batch", "vq_update": "ema", "reestimation": False, "latent_mixer": False}
    torch.manual_seed(0)
    sides = {"ours": build_recognizer(config, TOKENS, HEIGHT), "plain, vqp EMA": PlainRecognizer(config)}
    data = {name: value.to(args.device) for name, value in batch(config).items()}
    return config, data, {name: model.to(args.device).train() for name, model in sides.items()}


def time_step(args: argparse.Namespace, compiled: bool = False) -> None:
    """Milliseconds of an update, float32 and bf16."""
    for precision in (torch.float32, torch.bfloat16):
        config, data, sides = models(args)
        for model in sides.values() if compiled else ():
            model.compile()
        steps = {}
        for name, model in sides.items():
            step = stepper(model, data, config)

            def run(step=step, precision=precision):
                with torch.autocast(args.device.type, precision, enabled=precision != torch.float32):
                    step()

            began = time.perf_counter()
            run()
            run()
            if args.device.type == "cuda":
                torch.cuda.synchronize()
            print(f"{name}: the first two steps took {time.perf_counter() - began:.1f} s", flush=True)
            steps[name] = run
        found = medians(steps, args.device, args.rounds)
        text = ", ".join(f"{name} {value:.2f} ms" for name, value in found.items())
        ratio = found["plain, vqp EMA"] / found["ours"]
        print(f"{precision}{', compiled' if compiled else ''}: {text}; plain / ours {ratio:.2f}", flush=True)


PARTS = {
    "lookup": time_lookup,
    "blocks": time_blocks,
    "kmeans": time_kmeans,
    "step": time_step,
    "compiled": lambda args: time_step(args, compiled=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=["lookup", "kmeans", "step"])
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--rounds", type=int, default=20, help="how often each side is measured (default: 20)")
    parser.add_argument("--quick", action="store_true", help="small sizes only, to see that all sides run")
    args = parser.parse_args()
    name = torch.cuda.get_device_name() if args.device.type == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}; the fused kernel: {args.device.type == 'cuda' and lookup._has_triton()}")
    for part in args.only:
        print(f"\n== {part}", flush=True)
        PARTS[part](args)


if __name__ == "__main__":
    main()
