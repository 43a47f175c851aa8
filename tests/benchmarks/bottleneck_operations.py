"""What the bottleneck's parts cost beside others that do the same: lookup, layer, memory, k-means, reservoir.

Run by hand on a quiet machine: `python tests/benchmarks/bottleneck_operations.py --threads 1 2`. All sides of a row
are measured in turn, round by round, so that other load strikes all of them; a row shows medians, and ratios to ours.
vector-quantize-pytorch, faiss and scikit-learn take part where they are installed: `pip install '.[benchmarks]'`.
"""

import argparse
import importlib
import random
import statistics
from unittest import mock

import torch
from timing import CLOCKS, Sides, have, limited_to, medians, options, peak_memory, print_ratio, print_row, tiled_product

from vqbn import Reservoir, VQBottleneck, kmeans, nearest_codes, perplexity
from vqbn.bottleneck import lookup
from vqbn.bottleneck.compiled_lookup import Kernel, best_kernel
from vqbn.bottleneck.kmeans import kmeans_inertia

# The package's attribute of this name is the function.
kmeans_module = importlib.import_module("vqbn.bottleneck.kmeans")


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
    return sides


def sizes(args: argparse.Namespace) -> list[tuple[int, int, int]]:
    """N, D and K of the rows."""
    counts, codebooks = ((4096,), (512, 2048)) if args.quick else (args.vectors, args.codewords)
    return [(count, dim, size) for count in counts for dim in (64, 128) for size in codebooks]


def lookups(args: argparse.Namespace) -> None:
    print("\nlookup: milliseconds (times ours)")
    for count, dim, size in sizes(args):
        sides = lookup_sides(torch.randn(count, dim), torch.randn(size, dim))
        found = medians(sides, args.rounds, args.clock)
        print_row(f"N {count} D {dim} K {size}", found)
        print_ratio("ours / tiled product", found["ours"] / found["tiled product"], 1.2 if size >= 2048 else 2, True)


def layer_sides(x: torch.Tensor, size: int, learning: bool) -> Sides:
    """Whole layers: in evaluation; or a training step of theirs, with what changes the codebook."""
    dim = x.shape[1]
    x = x[None].requires_grad_(learning)
    layers: dict[str, torch.nn.Module] = {
        "ours, EMA": VQBottleneck(dim, dim, size, projection=False, update="ema"),
        "ours, gradient": VQBottleneck(dim, dim, size, projection=False),
    }
    if have("vector_quantize_pytorch"):
        from vector_quantize_pytorch import VectorQuantize

        # Straight-through as ours; their default, the rotation trick, costs a little more.
        common = {"dim": dim, "codebook_size": size, "commitment_weight": 0.25, "rotation_trick": False}
        layers["vqp, EMA"] = VectorQuantize(decay=0.99, **common)
        layers["vqp, learnable"] = VectorQuantize(learnable_codebook=True, ema_update=False, **common)

    def side(layer: torch.nn.Module):
        layer.train(learning)
        parameters = list(layer.parameters())
        optimizer = torch.optim.Adam(parameters, 1e-3, fused=True) if parameters else None

        def run() -> None:
            if not learning:
                with torch.no_grad():
                    layer(x)
                return
            quantized, _, loss = layer(x)
            (quantized.sum() + loss.sum()).backward()
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad()
            x.grad = None

        return run

    sides = {name: side(layer) for name, layer in layers.items()}
    sides["tiled product"] = tiled_product(x[0].detach(), torch.randn(size, dim))
    return sides


def layers(args: argparse.Namespace) -> None:
    for learning, what in ((False, "forward, in evaluation"), (True, "forward + backward + update")):
        print(f"\nlayer, {what}: milliseconds (times ours with EMA)")
        for count, dim, size in sizes(args):
            sides = layer_sides(torch.randn(count, dim), size, learning)
            # Two groups: after a peer's gigabytes the next side would begin with a cold cache and an empty heap.
            near = {name: side for name, side in sides.items() if not name.startswith("vqp")}
            found = medians(near, 2 * args.rounds, args.clock)
            print_row(f"N {count} D {dim} K {size}", found)
            large = size >= 2048
            for name in ("ours, EMA", "ours, gradient"):
                print_ratio(f"{name} / tiled product", found[name] / found["tiled product"], 1.2 if large else 2, True)
            peers = {name: side for name, side in sides.items() if name == "ours, EMA" or name not in near}
            if len(peers) > 1:
                # A large layer of the peer takes seconds.
                rounds = args.rounds if count * size <= 1 << 24 else max(1, args.rounds // 2)
                found = medians(peers, rounds, args.clock)
                print_row("    beside the peer", found)
                print_ratio("vqp, EMA / ours, EMA", found["vqp, EMA"] / found["ours, EMA"], 8 if large else 3, False)


def memory(args: argparse.Namespace) -> None:
    count, size = (4096, 512) if args.quick else (20480, 8192)
    print(f"\npeak MiB over the inputs, N {count}, D 64, K {size}; ours: at most 60")
    names = [
        *((name, "lookup") for name in lookup_sides(torch.randn(2, 64), torch.randn(4, 64))),
        *((name, "training step") for name in layer_sides(torch.randn(2, 64), 4, True) if name != "tiled product"),
    ]
    for name, what in names:

        def make(name=name, what=what):
            torch.manual_seed(0)
            x, codebook = torch.randn(count, 64), torch.randn(size, 64)
            # A small one first: libraries keep buffers of their own from their first call on.
            small = lookup_sides(x[:64], codebook[:64]) if what == "lookup" else layer_sides(x[:64], 64, True)
            small[name]()
            return (lookup_sides(x, codebook) if what == "lookup" else layer_sides(x, size, True))[name]

        print(f"{what:16}{name:24}{peak_memory(make):9.0f}", flush=True)


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


def reservoirs(args: argparse.Namespace) -> None:
    count = 100 if args.quick else 1000
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
    found = medians(sides, min(args.rounds, 3), args.clock)
    print_row("", found)
    print_ratio("loop / ours", found["loop"] / found["ours"], 15, False)
    print_ratio("loop over accepted rows / ours", found["loop, accepted"] / found["ours"], 6, False)


def mixture(count: int, dim: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised vectors of a Zipf mixture of 600 Gaussians, (count, dim), and four times as many fresh ones."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(600, dim, generator=generator)
    spread = 0.4 + 0.6 * torch.rand(600, dim, generator=generator)
    which = torch.multinomial(1 / torch.arange(1.0, 601), 5 * count, True, generator=generator)
    x = means[which] + spread[which] * torch.randn(5 * count, dim, generator=generator)
    x = (x - x.mean(0)) / x.std(0)
    return x[:count], x[count:]


class LloydIterations:
    """Counts Lloyd's iterations, which end early when no vector changes its cluster: the bound is per iteration."""

    def __init__(self):
        self.count = 0

    def __enter__(self) -> "LloydIterations":
        def counting(x, centroids, weights, iterations, lloyd=kmeans_module._lloyd):
            self.count += 1

            def again(*vectors, find=kmeans_module._nearest_again):
                self.count += 1
                return find(*vectors)

            with mock.patch.object(kmeans_module, "_nearest_again", again):
                return lloyd(x, centroids, weights, iterations)

        self._patch = mock.patch.object(kmeans_module, "_lloyd", counting)
        self._patch.start()
        return self

    def __exit__(self, *_) -> None:
        self._patch.stop()


def reestimations(args: argparse.Namespace) -> None:
    print("\nk-means, at most 20 iterations, medians over three seeds: seconds (times ours)")
    now = CLOCKS[args.clock]
    for dim, size, count in ((64, 256, 4096),) if args.quick else ((64, 2048, 20480), (128, 4096, 20480)):
        quality: dict[str, list[tuple[float, float]]] = {}
        times: dict[str, list[float]] = {}
        bounds: list[float] = []
        for seed in range(3):
            x, fresh = mixture(count, dim, seed)
            found: dict[str, torch.Tensor] = {}
            iterations = LloydIterations()

            def ours(init: str, x=x, size=size, seed=seed, found=found) -> None:
                found[init] = kmeans(x, size, init=init, generator=torch.Generator().manual_seed(seed))

            def default(ours=ours, iterations=iterations) -> None:
                with iterations:
                    ours("k-means||")

            sides: Sides = {"k-means||": default, "k-means++": lambda ours=ours: ours("k-means++")}
            if have("sklearn"):
                from sklearn.cluster import KMeans

                def sklearn(x=x, size=size, seed=seed, found=found) -> None:
                    fitted = KMeans(size, n_init=1, max_iter=20, random_state=seed).fit(x.numpy())
                    found["scikit-learn"] = torch.from_numpy(fitted.cluster_centers_)

                sides["scikit-learn"] = sklearn
            if have("faiss"):
                import faiss

                def by_faiss(x=x, size=size, seed=seed, found=found, dim=dim) -> None:
                    fitted = faiss.Kmeans(dim, size, niter=20, seed=seed, max_points_per_centroid=len(x))
                    fitted.train(x.numpy())
                    found["faiss"] = torch.from_numpy(fitted.centroids)

                sides["faiss"] = by_faiss
            sides["one product"] = tiled_product(x, x[:size])
            for name, side in sides.items():
                start = now()
                side()
                times.setdefault(name, []).append(now() - start)
            bounds.append(times["k-means||"][-1] / (iterations.count * times["one product"][-1]))
            for name, centroids in found.items():
                inertia, counts = kmeans_inertia(fresh, centroids)
                quality.setdefault(name, []).append((inertia / len(fresh), perplexity(counts).item()))
        seconds = {name: statistics.median(values) for name, values in times.items()}
        print_row(f"N {count} D {dim} K {size}", seconds, scale=1)
        print(f"    iterations in the last seed: {iterations.count}")
        print_ratio("ours / one product per iteration", statistics.median(bounds), 2, True)
        means = {
            name: [statistics.mean(values) for values in zip(*results, strict=True)]
            for name, results in quality.items()
        }
        for name, (error, used) in means.items():
            print(f"    {name:16} on fresh vectors: error {error:8.4f}  perplexity {used:8.1f}")
        if "scikit-learn" in means:
            print_ratio("scikit-learn / ours", seconds["scikit-learn"] / seconds["k-means||"], 2.5, False)
            print_ratio("error, ours / scikit-learn", means["k-means||"][0] / means["scikit-learn"][0], 1.01, True)
            print_ratio(
                "perplexity, ours / scikit-learn", means["k-means||"][1] / means["scikit-learn"][1], 0.99, False
            )


PARTS = {"lookup": lookups, "layer": layers, "memory": memory, "reservoir": reservoirs, "kmeans": reestimations}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="some of the parts")
    parser.add_argument("--vectors", type=int, nargs="+", default=[4096, 20480], help="of the lookup and the layer")
    parser.add_argument("--codewords", type=int, nargs="+", default=[512, 2048, 4096, 8192], help="of the same")
    parser.add_argument(
        "--kernel", choices=[kernel.name.lower() for kernel in Kernel], help="of our lookup; the best that runs here"
    )
    args = parser.parse_args()
    kernel = best_kernel() if args.kernel is None else Kernel[args.kernel.upper()]
    if kernel > best_kernel():
        parser.error(
            f"the kernel {args.kernel} isn't compiled, or can't run here; the best is {best_kernel().name.lower()}"
        )
    print(f"our lookup: {kernel.name}")
    lookup.best_kernel = lambda: kernel
    if "memory" in args.only:
        # First and once: a forked process can't use threads that were started before.
        torch.set_num_threads(1)
        memory(args)
    for threads in args.threads:
        with limited_to(threads):
            for name in args.only:
                if name != "memory":
                    PARTS[name](args)


if __name__ == "__main__":
    main()
