"""Causes for which targets did not reach the act's goal: what a group of such targets is, and how to name it.

The reports and the live status group by the same code, which is in ``report/causes.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from msgspec import Struct

from orchestrator.model.outcome import Outcome

OTHER_CAUSES = "other causes"
"""The label of the group that takes in all others, once there are many."""
NO_CAUSE = "no reason given"


class CauseGroup(Struct, frozen=True, kw_only=True):
    """Targets with one outcome for one cause."""

    outcome: Outcome
    """``failed``, ``unknown`` or ``not_started``."""
    label: str
    """The vendor's code, or the first word of the reason."""
    text: str | None
    """The vendor's message or the reason of the first target; None without one, or if they differ."""
    count: int
    """Number of the targets."""
    gateways: tuple[str, ...] = ()
    """The names of their gateways."""
    examples: tuple[str, ...] = ()
    """Ids of some of them, at most five; none of targets that were left out before, or of other causes."""
    names: tuple[str | None, ...] = ()
    """The names that people know the examples by, in their order, cut to 60 characters; None if untold."""

    def list_examples(self) -> Iterator[tuple[str, str | None]]:
        """Yield the id of each example, with the name that people know it by, or None."""
        return zip_longest(self.examples, self.names[: len(self.examples)])

    @property
    def is_searchable(self) -> bool:
        """Return whether a search for the label finds the targets, because it is one of their texts."""
        return self.label not in {OTHER_CAUSES, NO_CAUSE}

    @property
    def more(self) -> int:
        """Return how many targets are not among the examples."""
        return self.count - len(self.examples)
