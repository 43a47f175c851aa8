"""The warning of a collapsed codebook."""

import warnings

import pytest
import torch

from vqbn import ReestimationSchedule, VQBottleneck
from vqbn.bottleneck.alarm import CollapseAlarm


def counts(used: int, size: int = 200, each: int = 10) -> torch.Tensor:
    row = torch.zeros(1, size, dtype=torch.int64)
    row[0, :used] = each
    return row


def goes_off_after(alarm: CollapseAlarm, used: int, updates: int) -> list[int]:
    return [update for update in range(1, updates + 1) if alarm.update(counts(used, each=400 // used))]


def test_it_goes_off_once_after_500_updates_under_5_percent():
    alarm = CollapseAlarm(200)
    assert goes_off_after(alarm, 9, 1500) == [500]
    assert alarm.perplexity == pytest.approx(9)


def test_it_is_silent_where_enough_codes_are_used():
    assert goes_off_after(CollapseAlarm(200), 11, 1500) == []


def test_a_recovery_starts_the_500_updates_anew():
    alarm = CollapseAlarm(200)
    assert goes_off_after(alarm, 5, 450) == []
    assert goes_off_after(alarm, 50, 50) == []
    assert goes_off_after(alarm, 5, 600) == [500]


def test_few_vectors_are_not_taken_for_few_codes():
    alarm = CollapseAlarm(1000)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3000):
        # One vector per update: 50 updates alone could never show a perplexity over 5 % of 1,000.
        row = torch.zeros(1, 1000, dtype=torch.int64)
        row[0, torch.randint(1000, (1,), generator=generator)] = 1
        assert not alarm.update(row)
    assert alarm.perplexity > 400


def test_the_worst_codebook_decides():
    alarm = CollapseAlarm(200)
    both = torch.cat([counts(100), counts(3, each=300)])
    assert [update for update in range(1, 700) if alarm.update(both)] == [500]


def test_it_goes_on_where_it_stopped():
    alarm = CollapseAlarm(200)
    goes_off_after(alarm, 5, 333)
    restored = CollapseAlarm(200)
    restored.load(*alarm.state())
    assert goes_off_after(restored, 5, 300) == [500 - 333]


def test_it_keeps_the_counts_of_the_last_window_and_goes_on_after_it_went_off():
    alarm = CollapseAlarm(200)
    goes_off_after(alarm, 5, 510)
    assert alarm.last_counts.sum() == 50 * 400
    assert alarm.counts.sum() == 10 * 400
    goes_off_after(alarm, 100, 40)
    assert alarm.perplexity > 20
    alarm.forget_counts()
    assert alarm.last_counts is alarm.counts is None


def collapse(updates: int, **options) -> list:
    torch.manual_seed(0)
    vq = VQBottleneck(4, 4, 200, projection=False, codebook_init=100.0, **options)
    with torch.no_grad():
        # One codeword near to all vectors, the others far away.
        vq.codebook[:, 0] = 0
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    vq.follow(optimizer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(updates):
            vq(torch.randn(1, 20, 4))
            optimizer.step()
    return [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)]


def test_a_collapsed_codebook_warns_once_with_the_norms_and_what_to_do():
    assert collapse(499) == []
    (message,) = collapse(1200)
    assert "collapsed" in message
    assert "1.0" in message, "the perplexity"
    ratio = float(message.split("codewords is ")[1].split()[0])
    assert ratio == pytest.approx(110 / 1.88, rel=0.1)
    assert 'normalization="batch"' in message
    assert "ReestimationSchedule" in message
    assert "learning rate" in message


def test_a_clustered_codebook_does_not_warn():
    assert collapse(700, reestimation=ReestimationSchedule(20, 20, 1)) == []
