"""Counts the reads of bindings of a run, from what a preview saw of them. Pure.

The rules are those by which a lane reads them (``lanes/binding_reader.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.lanes.binding_reader import (
    BELIEVED_FOR,
    COMPARED_AFTER,
    COMPARED_TIMES,
    WORTH_ASKING,
    BindingCosts,
)
from orchestrator.preview.states import PreviewedGateway, SeenTarget


class BindingCounter:
    """Counts the reads of all types of bindings at one gateway, step by step."""

    def __init__(self, found: PreviewedGateway) -> None:
        self._types = [_TypeCounter(each) for each in found.bindings if each.name not in found.lacking]
        self._refused = sum(each.name in found.lacking for each in found.bindings)
        self._later = 0

    def count_step(self, seen_targets: Sequence[SeenTarget], *, later: int = 0) -> tuple[int, int, int]:
        """Return the reads of targets alone in a step, the pages for many, and the most reads for one.

        ``later`` targets come soon after the step: what is read for the step may serve them, too.
        """
        self._later = later
        places = sum(seen.places for seen in seen_targets)
        if not places:
            return 0, 0, 0
        counts = [each.count_step(len(seen_targets) + later, places) for each in self._types]
        alone, pages = sum(count[0] for count in counts), sum(count[1] for count in counts)
        # A type that is refused is asked for once: the lane then knows.
        refused, self._refused = self._refused, 0
        longest = max(seen.places for seen in seen_targets)
        return alone + refused, pages, sum(min(longest, count[0]) for count in counts)

    def pass_time(self, seconds: float, *, targets: int) -> int:
        """Take in the seconds of a step with so many targets; return the pages read again by then."""
        ahead = targets + self._later if targets else 0
        return sum(each.pass_time(seconds, ahead) for each in self._types)


class _TypeCounter:
    """Counts the reads of one type."""

    def __init__(self, costs: BindingCosts) -> None:
        self._costs = costs
        self._pages = costs.owner_pages + costs.place_pages
        """Requests for the other side; with a whole read, one target is read alone as well."""
        self._is_readable = costs.place_pages >= costs.owners and costs.owner_pages > 0
        """Whether the preview has read the other side of this type in whole."""
        self._has_asked = False
        self._age: float | None = None
        """Seconds since it was read; None where it was not."""
        self._answered = 0
        self._served = 0
        """Places that were answered since it was read."""
        self._compare_at = COMPARED_AFTER

    def count_step(self, ahead: int, places: int) -> tuple[int, int]:
        """Return the reads alone, and the pages of the other side, for so many places."""
        if self._age is not None and self._age <= BELIEVED_FOR:
            return self._count_compared(places), 0
        if not self._pays(ahead):
            return places, 0
        self._has_asked = True
        if not self._is_readable or self._pages > ahead:
            return places, self._costs.owner_pages
        self._age, self._served = 0.0, 0
        return 1 + self._count_compared(places), self._pages

    def _pays(self, ahead: int) -> bool:
        """Return whether the other side is asked for, or asked again, for so many targets."""
        least = self._pages if self._has_asked else 0
        is_served = self._age is None or least <= self._served
        return bool(self._costs.owner_pages) and ahead >= max(WORTH_ASKING, least) and is_served

    def _count_compared(self, places: int) -> int:
        """Return how many of so many places that are answered are read alone as well."""
        self._answered, self._served = self._answered + places, self._served + places
        compared = 0
        while self._compare_at <= self._answered:
            self._compare_at, compared = self._compare_at * COMPARED_TIMES, compared + 1
        return compared

    def pass_time(self, seconds: float, ahead: int) -> int:
        """Return the pages that are read again in a step of so many seconds."""
        if self._age is None:
            return 0
        self._age += seconds
        if self._age <= BELIEVED_FOR or self._pages > min(ahead, self._served):
            return 0
        times, self._age = divmod(self._age, BELIEVED_FOR)
        return int(times) * (self._pages + 1)
