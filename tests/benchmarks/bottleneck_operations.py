"""What the bottleneck's parts cost beside others that do the same: lookup, reservoir, k-means.

Run by hand on a quiet machine: `python tests/benchmarks/bottleneck_operations.py --threads 1 2`. All sides of a row
are measured in turn, round by round, so that other load strikes all of them; a row shows medians, and ratios to ours.
vector-quantize-pytorch and faiss take part where they are installed.
"""

import argparse
import importlib.util
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vqbn.bottleneck.kmeans import kmeans, kmeans_inertia
from vqbn.bottleneck.lookup import nearest_codes
from vqbn.bottleneck.metrics import perplexity
from vqbn.bottleneck.reservoir import Reservoir

Sides = dict[str, Callable[[], object]]


def have(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def medians(sides: Sides, rounds: int) -> dict[str, float]:
    """Median seconds of each side, called in turn; one round more comes first and isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory(side: Callable[[], object]) -> float:
    """MiB that a call takes at most beyond what was resident before it (Linux)."""

    def resident(kind: str) -> float:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(kind))
        return int(line.split()[1]) / 1024

    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    side()
    return resident("VmHWM") - before


def print_row(label: str, seconds: dict[str, float], scale: float = 1e3) -> None:
    ours = next(iter(seconds.values()))
    cells = [f"{name} {value * scale:9.2f} ({value / ours:5.2f})" for name, value in seconds.items()]
    print(f"{label:24}" + "  ".join(cells), flush=True)


def tiled_product(x: torch.Tensor, codebook: torch.Tensor) -> Callable[[], None]:
    """The yardstick: a float32 matrix product in tiles of 1,024 rows into a buffer used again."""
    buffer = torch.empty(1024, len(codebook))

    def run() -> None:
        for rows in x.split(1024):
            torch.mm(rows, codebook.t(), out=buffer[: len(rows)])

    return run


def lookup_sides(x: torch.Tensor, codebook: torch.Tensor) -> Sides:
    sides: Sides = {
        "ours": lambda: nearest_codes(x, codebook),
        "tiled product": tiled_product(x, codebook),
        "cdist+argmin": lambda: torch.cdist(x, codebook).argmin(1),
    }
    if have("faiss"):
        import faiss

        index = faiss.IndexFlatL2(x.shape[1])
        index.add(codebook.numpy())
        sides["faiss"] = lambda: index.search(x.numpy(), 1)
    if have("vector_quantize_pytorch"):
        from vector_quantize_pytorch import VectorQuantize

        layer = VectorQuantize(dim=x.shape[1], codebook_size=len(codebook)).eval()

        def run() -> None:
            with torch.no_grad():
                layer(x[None])

        sides["vqp, eval"] = run
    return sides


def lookups(quick: bool) -> None:
    print("\nlookup: milliseconds (times ours)")
    for count in (4096,) if quick else (4096, 20480):
        for dim in (64, 128):
            for size in (512, 2048) if quick else (512, 2048, 4096, 8192):
                sides = lookup_sides(torch.randn(count, dim), torch.randn(size, dim))
                rounds = 5 if count * size > 1 << 25 else 9
                print_row(f"N {count} D {dim} K {size}", medians(sides, rounds))
    print("\nlookup: peak MiB over the inputs, N 20480, D 64, K 8192")
    for name, side in lookup_sides(torch.randn(20480, 64), torch.randn(8192, 64)).items():
        print(f"{name:24}{peak_memory(side):9.0f}", flush=True)


def loop_over_rows(capacity: int, batches: list[torch.Tensor]) -> None:
    """Algorithm R, one row after the other."""
    stored, seen, generator = torch.empty(capacity, batches[0].shape[1]), 0, random.Random(0)
    for batch in batches:
        for row in batch:
            slot = seen if seen < capacity else generator.randrange(seen + 1)
            if slot < capacity:
                stored[slot] = row
            seen += 1


def loop_over_accepted_rows(capacity: int, batches: list[torch.Tensor]) -> None:
    """Algorithm R, one row after the other, touching only rows that are kept."""
    stored, seen, generator = torch.empty(capacity, batches[0].shape[1]), 0, random.Random(0)
    for batch in batches:
        for i in range(len(batch)):
            slot = seen if seen < capacity else int(generator.random() * (seen + 1))
            if slot < capacity:
                stored[slot] = batch[i]
            seen += 1


def reservoirs(quick: bool) -> None:
    count = 100 if quick else 1000
    print(f"\nreservoir: milliseconds (times ours), 20480 slots, {count} batches of 2048 x 64")
    batches = [torch.randn(2048, 64)] * count

    def ours() -> None:
        reservoir = Reservoir(20480, 64)
        for batch in batches:
            reservoir.add(batch)

    sides: Sides = {
        "ours": ours,
        "loop": lambda: loop_over_rows(20480, batches),
        "loop, accepted": lambda: loop_over_accepted_rows(20480, batches),
    }
    print_row("", medians(sides, 3))


def mixture(count: int, dim: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised vectors of a Zipf mixture of 600 Gaussians, (count, dim), and four times as many fresh ones."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(600, dim, generator=generator)
    spread = 0.4 + 0.6 * torch.rand(600, dim, generator=generator)
    which = torch.multinomial(1 / torch.arange(1.0, 601), 5 * count, True, generator=generator)
    x = means[which] + spread[which] * torch.randn(5 * count, dim, generator=generator)
    x = (x - x.mean(0)) / x.std(0)
    return x[:count], x[count:]


def reestimations(quick: bool) -> None:
    from sklearn.cluster import KMeans

    print("\nk-means, 20 iterations: seconds (times ours); the bound is 20 tiled matrix products of N x D x K")
    for dim, size, count in ((64, 256, 4096),) if quick else ((64, 2048, 20480), (128, 4096, 20480)):
        quality: dict[str, list[tuple[float, float]]] = {}
        times: dict[str, list[float]] = {}
        for seed in range(3):
            x, fresh = mixture(count, dim, seed)
            found: dict[str, torch.Tensor] = {}

            def ours(init: str, x=x, size=size, seed=seed, found=found) -> None:
                found[init] = kmeans(x, size, init=init, generator=torch.Generator().manual_seed(seed))

            def sklearn(x=x, size=size, seed=seed, found=found) -> None:
                fitted = KMeans(size, n_init=1, max_iter=20, random_state=seed).fit(x.numpy())
                found["scikit-learn"] = torch.from_numpy(fitted.cluster_centers_)

            sides: Sides = {
                "k-means||": lambda: ours("k-means||"),
                "k-means++": lambda: ours("k-means++"),
                "scikit-learn": sklearn,
            }
            if have("faiss"):
                import faiss

                def by_faiss(x=x, size=size, seed=seed, found=found, dim=dim) -> None:
                    fitted = faiss.Kmeans(dim, size, niter=20, seed=seed, max_points_per_centroid=len(x))
                    fitted.train(x.numpy())
                    found["faiss"] = torch.from_numpy(fitted.centroids)

                sides["faiss"] = by_faiss
            product = tiled_product(x, x[:size])
            sides["bound"] = lambda product=product: [product() for _ in range(20)]
            for name, side in sides.items():
                start = time.perf_counter()
                side()
                times.setdefault(name, []).append(time.perf_counter() - start)
            for name, centroids in found.items():
                inertia, counts = kmeans_inertia(fresh, centroids)
                quality.setdefault(name, []).append((inertia / len(fresh), perplexity(counts).item()))
        print_row(f"N {count} D {dim} K {size}", {name: statistics.median(v) for name, v in times.items()}, scale=1)
        for name, results in quality.items():
            error, used = (statistics.mean(values) for values in zip(*results, strict=True))
            print(f"    {name:16} on fresh vectors: error {error:8.4f}  perplexity {used:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads to measure with")
    parser.add_argument("--quick", action="store_true", help="small sizes only, to see that all sides run")
    parser.add_argument("--only", choices=["lookup", "reservoir", "kmeans"], help="one of the parts")
    options = parser.parse_args()
    parts = {"lookup": lookups, "reservoir": reservoirs, "kmeans": reestimations}
    for threads in options.threads:
        torch.set_num_threads(threads)
        limits = None
        if have("threadpoolctl"):
            from threadpoolctl import threadpool_limits

            limits = threadpool_limits(threads)
        print(f"\n== torch {torch.__version__}, {threads} thread(s)")
        for name, part in parts.items():
            if options.only in (None, name):
                part(options.quick)
        if limits is not None:
            limits.restore_original_limits()


if __name__ == "__main__":
    main()
