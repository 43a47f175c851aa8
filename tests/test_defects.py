"""Defects are named and counted, and too many of them end the run."""

import pytest

from vqbn.defects import Defects
from vqbn.errors import InputError


def with_bad(number: int, limit: float = 0.05, **options) -> Defects:
    defects = Defects("utterances", limit, **options)
    for item in range(number):
        defects.add(f"u{item}", f"reason {item}")
    return defects


def test_each_item_is_named_once_with_its_first_reason(caplog):
    defects = Defects("lines")
    defects.add("l1", "cut short")
    defects.add("l1", "empty")
    assert defects.reasons == {"l1": "cut short"}
    assert [record.message for record in caplog.records] == ["left out: l1: cut short"]


@pytest.mark.parametrize(
    ("bad", "total", "limit", "ends"),
    [
        (0, 0, 0.05, False),
        (0, 10, 0.0, False),
        (5, 100, 0.05, False),
        (6, 100, 0.05, True),
        (1, 100, 0.0, True),
        (15, 100, 0.15, False),
        (3, 3, 1.0, True),  # nothing is left to go on with
        (2, 3, 1.0, False),
    ],
)
def test_the_run_ends_above_the_limit_or_when_nothing_is_left(bad, total, limit, ends):
    defects = with_bad(bad, limit)
    if ends:
        with pytest.raises(InputError):
            defects.check(total, "data/train")
    else:
        defects.check(total, "data/train")


def test_the_message_says_where_how_many_which_option_and_an_example():
    with pytest.raises(InputError) as caught:
        with_bad(4, 0.15, option="--max_unaligned").check(10, "data/train")
    assert str(caught.value) == (
        "data/train: 4 of 10 utterances are unusable, more than 15% (--max_unaligned); the first: u0: reason 0"
    )


def test_the_count_is_logged(caplog):
    with caplog.at_level("INFO"):
        with_bad(1).check(100, "data/train")
    assert caplog.messages[-1] == "data/train: left out 1 of 100 utterances"
