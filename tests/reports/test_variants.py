from vqbn.reports.variants import by_name
from vqbn.runs.results import Result


def run(name, seed):
    return Result(name, name, seed, "d", "c", "k", "h", {}, 1, "best", {})


def test_groups_follow_the_paper_and_then_the_alphabet():
    names = ["none", "zeta", "bn_reest_lr-K512", "bn", "vanilla"]
    groups = by_name([run(name, seed) for name in names for seed in (2, 1)])
    assert list(groups) == ["vanilla", "bn", "none", "bn_reest_lr-K512", "zeta"]
    assert [r.seed for r in groups["bn"]] == [1, 2]
