"""K-means has the properties that make it k-means; the list follows scikit-learn's own tests."""

import importlib
import itertools
import warnings

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from vqbn.bottleneck.kmeans import SEEDINGS, kmeans, kmeans_inertia
from vqbn.bottleneck.lookup import nearest_codes

# `vqbn.bottleneck.kmeans` as an attribute is the function.
kmeans_module = importlib.import_module("vqbn.bottleneck.kmeans")

SEEDS = range(3)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(seed: int, count: int = 600, dim: int = 8, centres: int = 10, spread: float = 0.3) -> torch.Tensor:
    g = generator(seed)
    means = torch.randn(centres, dim, generator=g) * 3
    which = torch.randint(centres, (count,), generator=g)
    return means[which] + spread * torch.randn(count, dim, generator=g)


def in_order(centroids: torch.Tensor) -> torch.Tensor:
    """Sorted by all coordinates, since a clustering has no order."""
    return centroids[np.lexsort(centroids.numpy().T[::-1])]


def distinct(x: torch.Tensor) -> int:
    return len(x.unique(dim=0))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_iteration_is_the_mean_of_each_cluster(seed):
    x = blobs(seed)
    start = x[:7].clone()
    nearest = torch.cdist(x.double(), start.double()).argmin(1)
    expected = torch.stack([x[nearest == i].mean(0) for i in range(7)])
    torch.testing.assert_close(kmeans(x, 7, init=start, iterations=1), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_ends_like_scikit_learn_from_the_same_start(seed):
    x = blobs(seed, spread=2.0)
    start = x[:12].clone()
    theirs = KMeans(12, init=start.numpy(), n_init=1, max_iter=100, tol=0).fit(x.numpy())
    ours = kmeans(x, 12, init=start, iterations=100)
    torch.testing.assert_close(ours, torch.from_numpy(theirs.cluster_centers_), rtol=1e-4, atol=1e-4)
    inertia, counts = kmeans_inertia(x, ours)
    assert inertia == pytest.approx(theirs.inertia_, rel=1e-5)
    assert counts.tolist() == np.bincount(theirs.labels_, minlength=12).tolist()


@pytest.mark.parametrize("init", SEEDINGS)
def test_is_as_good_as_scikit_learn(init):
    x = [blobs(seed, count=2000, dim=16, centres=30, spread=1.5) for seed in SEEDS]
    kind = "random" if init == "random" else "k-means++"
    theirs = [KMeans(64, init=kind, n_init=1, max_iter=20, random_state=s).fit(x[s].numpy()).inertia_ for s in SEEDS]
    ours = [kmeans_inertia(x[s], kmeans(x[s], 64, init=init, generator=generator(s)))[0] for s in SEEDS]
    assert np.mean(ours) < 1.01 * np.mean(theirs)


@pytest.mark.parametrize("init", ["k-means||", "k-means++"])
@pytest.mark.parametrize("seed", SEEDS)
def test_finds_every_one_of_well_separated_clusters(init, seed):
    x = blobs(seed, count=1000, centres=20, spread=0.01)
    _, counts = kmeans_inertia(x, kmeans(x, 20, init=init, generator=generator(seed)))
    means = blobs(seed, count=1000, centres=20, spread=0.0)
    assert sorted(counts.tolist()) == sorted(means.unique(dim=0, return_counts=True)[1].tolist())


@pytest.mark.parametrize("init", SEEDINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_more_iterations_never_raise_the_inertia(init, seed):
    x = blobs(seed, spread=2.0)
    inertia = [
        kmeans_inertia(x, kmeans(x, 16, init=init, iterations=n, generator=generator(seed)))[0] for n in range(8)
    ]
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(inertia))


def test_ends_when_no_vector_changes_its_cluster(monkeypatch):
    calls = []
    means = kmeans_module._means
    monkeypatch.setattr(kmeans_module, "_means", lambda *args: calls.append(1) or means(*args))
    x = blobs(0, centres=4, spread=0.01)
    kmeans(x, 4, init=kmeans(x, 4), iterations=1000)
    assert len(calls) < 40


@pytest.mark.parametrize("part", [0.0, 0.1, 0.4, 0.8])
@pytest.mark.parametrize("seed", SEEDS)
def test_only_distances_to_centroids_that_moved_are_measured_again(seed, part):
    x = blobs(seed, count=2000, spread=2.0)
    before = x[:64].clone()
    before[3] = before[2]
    moved = torch.rand(64, generator=generator(seed)) < part
    centroids = torch.where(moved[:, None], before + 0.5 * torch.randn(64, 8, generator=generator(seed)), before)
    centroids[moved.nonzero()[:1]] = before[20]
    indices = nearest_codes(x, before)
    kept = indices.clone()
    found = kmeans_module._nearest_again(x, centroids, indices, (centroids != before).any(1))
    assert torch.equal(found, nearest_codes(x, centroids))
    assert torch.equal(indices, kept)
    assert part == 0 or not torch.equal(found, indices)


@pytest.mark.parametrize("init", SEEDINGS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_generator_decides(init, weighted):
    x = blobs(0, spread=2.0)
    weights = torch.rand(600, generator=generator(9)) if weighted else None
    torch.manual_seed(1)
    first = kmeans(x, 30, weights, init, generator=generator(5))
    torch.manual_seed(2)
    assert torch.equal(kmeans(x, 30, weights, init, generator=generator(5)), first)
    assert not torch.equal(kmeans(x, 30, weights, init, generator=generator(6)), first)
    assert torch.equal(kmeans(x, 30, weights, init), kmeans(x, 30, weights, init))


@pytest.mark.parametrize("init", SEEDINGS)
def test_the_global_generator_is_left_alone(init):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    kmeans(blobs(0), 5, init=init)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("init", SEEDINGS)
def test_the_number_of_threads_changes_nothing(init):
    x = blobs(0, count=1500, dim=24, spread=2.0)
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(kmeans(x, 64, init=init, iterations=5))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("init", [*SEEDINGS, "tensor"])
def test_inputs_are_unchanged(init):
    x, weights = blobs(0), torch.rand(600)
    start = x[:9].clone() if init == "tensor" else init
    before = x.clone(), weights.clone(), x[:9].clone()
    kmeans(x, 9, weights, start)
    assert torch.equal(x, before[0])
    assert torch.equal(weights, before[1])
    if init == "tensor":
        assert torch.equal(start, before[2])


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_equal_repeated_vectors(seed):
    x = blobs(seed, spread=2.0)
    weights = torch.randint(1, 5, (600,), generator=generator(seed))
    repeated = x.repeat_interleave(weights, dim=0)
    start = x[:8].clone()
    ours = kmeans(x, 8, weights, start)
    torch.testing.assert_close(ours, kmeans(repeated, 8, init=start))
    one, many = kmeans_inertia(x, ours, weights), kmeans_inertia(repeated, ours)
    assert one[0] == pytest.approx(many[0], rel=1e-9)
    assert torch.equal(one[1], many[1])


@pytest.mark.parametrize("init", SEEDINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_equal_weights_equal_none_and_their_scale_does_not_matter(init, seed):
    x = blobs(seed, spread=1.0)
    plain = kmeans(x, 10, init=init, generator=generator(seed))
    for scale in (1.0, 4.0, 0.125):
        torch.testing.assert_close(kmeans(x, 10, torch.full((600,), scale), init, generator=generator(seed)), plain)


@pytest.mark.parametrize("init", SEEDINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_zero_weights_equal_absent_vectors(init, seed):
    x = blobs(seed, spread=1.0)
    weights = (torch.rand(600, generator=generator(seed)) < 0.5).float()
    with_zeros = kmeans(x, 10, weights, init, generator=generator(seed))
    torch.testing.assert_close(with_zeros, kmeans(x[weights > 0], 10, init=init, generator=generator(seed)))


@pytest.mark.parametrize("init", SEEDINGS)
def test_seeding_follows_the_weights(init):
    x = torch.cat([torch.randn(500, 4), 100 + torch.randn(500, 4)])
    weights = torch.cat([torch.full((500,), 1e-9), torch.ones(500)])
    seeds = kmeans(x, 3, weights, "random" if init == "random" else init, iterations=0)
    # K-means++ weighs errors too: one seed must go far away, but no more than one.
    assert (seeds.mean(1) > 50).sum() >= 2


@pytest.mark.parametrize("init", SEEDINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_are_different_rows(init, seed):
    x = blobs(seed, spread=2.0)
    x = x - x.double().mean(0).float()
    seeds = kmeans(x, 100, init=init, iterations=0, generator=generator(seed))
    distances, rows = torch.cdist(seeds.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist").min(1)
    assert distances.max() < 1e-5
    assert rows.unique().numel() == 100


@pytest.mark.parametrize("init", SEEDINGS)
@pytest.mark.parametrize("k", [1, 50])
def test_as_many_clusters_as_vectors_and_one(init, k):
    x = blobs(0, count=50, spread=2.0)
    centroids = kmeans(x, k, init=init)
    expected = x if k == 50 else x.mean(0, keepdim=True)
    torch.testing.assert_close(in_order(centroids), in_order(expected), rtol=1e-5, atol=1e-5)


def test_an_empty_cluster_moves_to_the_vector_with_the_largest_error():
    x = torch.tensor([[-1.0], [-0.5], [0.5], [1.0], [9.0]])
    start = torch.tensor([[0.0], [1000.0]])
    expected = torch.tensor([[0.0], [9.0]])
    torch.testing.assert_close(kmeans(x, 2, init=start, iterations=1), expected)


def test_several_empty_clusters_move_to_different_vectors():
    x = torch.tensor([[-1.0], [0.0], [1.0], [7.0], [9.0]])
    start = torch.tensor([[0.0], [1000.0], [1000.0], [2000.0]])
    centroids = kmeans(x, 4, init=start, iterations=20)
    assert distinct(centroids) == 4
    assert (kmeans_inertia(x, centroids)[1] > 0).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_cluster_stays_empty_while_there_are_vectors_for_it(seed, weighted):
    x = blobs(seed, count=300, spread=1.0)
    weights = torch.rand(300, generator=generator(seed)) + 0.1 if weighted else None
    start = torch.cat([x[:1], x[:1] + 1000 * torch.arange(1, 60)[:, None]])
    centroids = kmeans(x, 60, weights, start, iterations=50)
    assert centroids.isfinite().all()
    assert (kmeans_inertia(x, centroids)[1] > 0).all()


@pytest.mark.parametrize("init", SEEDINGS)
@pytest.mark.parametrize("seed", SEEDS)
def test_duplicate_vectors(init, seed):
    x = torch.randn(20, 8, generator=generator(seed))
    centroids = kmeans(x.repeat(30, 1), 20, init=init, iterations=50, generator=generator(seed))
    torch.testing.assert_close(in_order(centroids), in_order(x))


@pytest.mark.parametrize("init", SEEDINGS)
def test_fewer_different_vectors_than_clusters_warn(init):
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0], [5.0, 1.0]]).repeat(10, 1)
    with pytest.warns(UserWarning, match="some centroids are equal"):
        centroids = kmeans(x, 8, init=init)
    assert centroids.shape == (8, 2)
    assert distinct(centroids) == 3
    assert kmeans_inertia(x, centroids)[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("init", SEEDINGS)
def test_fewer_vectors_than_clusters_are_refused(init):
    with pytest.raises(ValueError, match=r"6 clusters need at least as many vectors.*there are 5"):
        kmeans(torch.randn(5, 2), 6, init=init)
    with pytest.raises(ValueError, match="there are 5"):
        kmeans(torch.randn(8, 2), 6, torch.tensor([1.0, 0, 1, 1, 0, 1, 0, 1]), init)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"x": torch.tensor([[0.0], [torch.nan]])}, ValueError),
        ({"x": torch.tensor([[0.0], [torch.inf]])}, ValueError),
        ({"x": torch.zeros(4)}, ValueError),
        ({"x": torch.zeros(4, 1, dtype=torch.int64)}, TypeError),
        ({"k": 0}, ValueError),
        ({"k": 1.5}, TypeError),
        ({"init": "k-means"}, ValueError),
        ({"init": torch.zeros(3, 1)}, ValueError),
        ({"init": torch.tensor([[0.0], [torch.nan]])}, ValueError),
        ({"weights": torch.ones(4, 1)}, ValueError),
        ({"weights": torch.tensor([1.0, 1.0, -1.0, 1.0])}, ValueError),
        ({"weights": torch.tensor([1.0, 1.0, torch.nan, 1.0])}, ValueError),
        ({"iterations": -1}, ValueError),
    ],
)
def test_what_does_not_fit_is_refused(change, error):
    with pytest.raises(error):
        kmeans(**{"x": torch.randn(4, 1), "k": 2} | change)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_widths(dtype):
    x = blobs(0, centres=6, spread=0.05).to(dtype)
    centroids = kmeans(x, 6)
    assert centroids.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(centroids.float(), kmeans(x.float(), 6))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_offset_only_shifts_the_result(seed):
    x = blobs(seed, centres=12, spread=0.1).double()
    start = x[:12].clone()
    torch.testing.assert_close(
        kmeans(x + 1e4, 12, init=start + 1e4) - 1e4, kmeans(x, 12, init=start), atol=1e-3, rtol=0
    )


def test_strided_and_differentiable_vectors():
    x = blobs(0)
    strided = x.t().contiguous().t().requires_grad_()
    assert torch.equal(kmeans(strided, 9), kmeans(x, 9))
    assert not kmeans(strided, 9).requires_grad


def test_autocast_changes_nothing():
    x = blobs(0, spread=2.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = kmeans(x, 20)
    assert torch.equal(found, kmeans(x, 20))


@pytest.mark.parametrize("seed", SEEDS)
def test_inertia_is_the_sum_of_squared_distances(seed):
    x, centroids = torch.randn(500, 6, generator=generator(seed)), torch.randn(9, 6, generator=generator(seed + 50))
    weights = torch.rand(500, generator=generator(seed)).double()
    squared, nearest = (x.double()[:, None] - centroids.double()).square().sum(2).min(1)
    inertia, counts = kmeans_inertia(x, centroids, weights)
    assert inertia == pytest.approx((squared * weights).sum().item(), rel=1e-6)
    torch.testing.assert_close(counts, torch.zeros(9, dtype=torch.float64).index_add(0, nearest, weights))
    assert kmeans_inertia(x, centroids)[0] == pytest.approx(squared.sum().item(), rel=1e-6)


def test_good_data_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kmeans(blobs(0, spread=2.0), 30)
