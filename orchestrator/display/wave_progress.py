"""The progress of one wave, counted from its events."""

from __future__ import annotations

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
        self.outcomes = dict.fromkeys(Outcome, 0)
        for counts in facts.ended.values():
            for outcome, count in counts.items():
                self.outcomes[outcome] += count
        self.state: Literal["ended", "going", "to come"] = "ended" if self.ended >= self.total else "to come"

    @property
    def ended(self) -> int:
        """Return how many of its targets have an outcome."""
        return sum(self.outcomes.values())
