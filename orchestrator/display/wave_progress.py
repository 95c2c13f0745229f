"""The progress of one wave, counted from its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from orchestrator.model.events import WaveFacts
from orchestrator.model.outcome import Outcome


class WaveProgress:
    """One wave of the plan. ``outcomes`` counts its targets of the whole run, earlier sessions included."""

    __slots__ = ("asks", "name", "number", "outcomes", "pause_after", "state", "steps", "total")

    def __init__(self, facts: WaveFacts, number: int) -> None:
        self.name = facts.name
        self.number = number
        """From 1 on, in the plan's order."""
        self.total = facts.targets
        self.steps = facts.steps
        self.pause_after = facts.pause_after
        self.asks = facts.asks
        self.settle(facts.ended.values())
        self.state: Literal["ended", "going", "to come"] = "ended" if self.ended >= self.total else "to come"

    @property
    def ended(self) -> int:
        """Return how many of its targets have an outcome."""
        return sum(self.outcomes.values())

    def settle(self, ended: Iterable[Mapping[Outcome, int]]) -> None:
        """Take over how its targets stand; ``ended`` is by gateway."""
        outcomes = dict.fromkeys(Outcome, 0)
        for counts in ended:
            for outcome, count in counts.items():
                outcomes[outcome] += count
        self.outcomes = outcomes
