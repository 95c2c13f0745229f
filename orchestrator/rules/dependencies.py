"""Who goes only after another one: what the targets of a leg wait for, and what becomes of that. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.model.outcome import DONE, Outcome, Reason
from orchestrator.model.target import TargetId


class Prerequisite(NamedTuple):
    """The target numbered ``seq`` may go only once another one, ``needs``, is down."""

    seq: int
    needs: int
    id: TargetId
    """Of the other one, as is all that follows."""
    gateway: str
    outcome: Outcome | None
    beside: bool
    """Whether it goes in the same leg."""


class Dependencies:
    """What the open targets of one leg wait for. Targets are known by their numbers.

    Whoever waits for one that did not end down will not be started. Memory grows with those that wait only.
    """

    def __init__(self, needs: Iterable[Prerequisite]) -> None:
        self._waits: defaultdict[int, set[int]] = defaultdict(set)
        self._followers: defaultdict[int, list[int]] = defaultdict(list)
        self._open: dict[int, Prerequisite] = {}
        self._broken: dict[int, str] = {}
        self._freed: deque[int] = deque()
        for need in needs:
            if need.outcome in DONE:
                continue
            if need.outcome is not None or not need.beside:
                self._broken.setdefault(need.seq, _explain_refusal(need, need.outcome))
            self._waits[need.seq].add(need.needs)
            self._followers[need.needs].append(need.seq)
            self._open[need.needs] = need

    def is_waiting(self, seq: int) -> bool:
        """Tell whether a target has to wait still."""
        return bool(self._waits.get(seq)) and seq not in self._broken

    def refusal(self, seq: int) -> str | None:
        """Return why a target will not be started, or None."""
        return self._broken.get(seq)

    def is_awaited(self, seq: int) -> bool:
        """Tell whether somebody waits for this target."""
        return seq in self._open

    def settle(self, seq: int, outcome: Outcome | None) -> bool:
        """A target has ended; None is that it was not reached. Returns whether somebody has waited for it."""
        need = self._open.pop(seq, None)
        if need is None:
            return False
        for follower in self._followers.pop(seq):
            self._waits[follower].discard(seq)
            if outcome not in DONE:
                self._broken.setdefault(follower, _explain_refusal(need, outcome))
            if not self.is_waiting(follower):
                self._freed.append(follower)
        return True

    def abandon(self, gateway: str) -> bool:
        """Nobody works on this gateway's targets any more. Returns whether somebody has waited for one."""
        left = [seq for seq, need in self._open.items() if need.gateway == gateway]
        for seq in left:
            self.settle(seq, None)
        return bool(left)

    def take_unblocked(self) -> list[int]:
        """Return who need not wait any more since this was asked last, be it that they are broken."""
        freed, self._freed = list(self._freed), deque()
        return freed


def _explain_refusal(need: Prerequisite, outcome: Outcome | None) -> str:
    became = "was not reached" if outcome is None else f"is {outcome.replace('_', ' ')}"
    return f"{Reason.DEPENDENCY}: {need.id}, which comes first, {became}"
