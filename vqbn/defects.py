"""Items that are left out: named, counted, and not allowed to become many."""

import logging

from vqbn.errors import InputError

logger = logging.getLogger(__name__)


class Defects:
    """What is wrong with single items (utterances, lines, images), and how much of it is too much.

    Args:
        what: what the items are, in the plural ("utterances").
        limit: the share of items that may be left out, 0 to 1 (`--max_bad`).
        option: the command-line option that sets `limit`, named in the message.
    """

    def __init__(self, what: str, limit: float = 0.05, option: str = "--max_bad"):
        self.what = what
        self.limit = limit
        self.option = option
        self.reasons: dict[str, str] = {}

    def add(self, item: str, reason: str) -> None:
        """Leave `item` out because of `reason`; the first reason for an item counts."""
        if item not in self.reasons:
            self.reasons[item] = reason
            logger.warning("left out: %s: %s", item, reason)

    def check(self, total: int, source: str) -> None:
        """End the run if too many of `total` items were left out.

        Args:
            total: how many items there were, the left-out ones included.
            source: the file or folder that they came from.

        Raises:
            InputError: more than `limit` of them were left out, or all of them.
        """
        if not self.reasons:
            return
        bad = len(self.reasons)
        item, reason = next(iter(self.reasons.items()))
        if bad > self.limit * total or bad >= total:
            raise InputError(
                f"{source}: {bad} of {total} {self.what} are unusable, more than {self.limit:.0%} ({self.option}); "
                f"the first: {item}: {reason}"
            )
        logger.info("%s: left out %d of %d %s", source, bad, total, self.what)
