"""The order that ``after`` gives to targets: which ones wait, and which are not started at all. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.model.outcome import DONE, Outcome, Reason
from orchestrator.model.target import TargetId


class Prerequisite(NamedTuple):
    """One entry of ``after``: the target ``seq`` may go only once the target ``required`` is down.

    Targets are named by their numbers in the journal.
    """

    seq: int
    required: int
    id: TargetId
    """Id of the required target."""
    gateway: str
    """Gateway of the required target."""
    outcome: Outcome | None
    """Outcome of the required target so far."""
    in_same_step: bool
    """Whether both go in the same wave step."""


class Dependencies:
    """The waiting targets of one wave step, and the targets that they wait for.

    A target is refused if a target that it requires did not end down. Memory grows with the waiting targets
    only.
    """

    def __init__(self, prerequisites: Iterable[Prerequisite]) -> None:
        self._required_by: defaultdict[int, set[int]] = defaultdict(set)
        """For each waiting target, the open targets that it requires."""
        self._followers: defaultdict[int, list[int]] = defaultdict(list)
        """For each open required target, those that wait for it."""
        self._open: dict[int, Prerequisite] = {}
        self._refusals: dict[int, str] = {}
        self._unblocked: deque[int] = deque()
        for entry in prerequisites:
            if entry.outcome in DONE:
                continue
            # An earlier wave step has ended: a target of it that is not down by now will not be.
            if entry.outcome is not None or not entry.in_same_step:
                self._refusals.setdefault(entry.seq, _explain_refusal(entry, entry.outcome))
            self._required_by[entry.seq].add(entry.required)
            self._followers[entry.required].append(entry.seq)
            self._open[entry.required] = entry

    def is_waiting(self, seq: int) -> bool:
        """Return whether a target has to wait still; a refused one has not."""
        return bool(self._required_by.get(seq)) and seq not in self._refusals

    def refusal(self, seq: int) -> str | None:
        """Return why a target will not be started, or None."""
        return self._refusals.get(seq)

    def is_awaited(self, seq: int) -> bool:
        """Return whether another target waits for this one."""
        return seq in self._open

    def settle(self, seq: int, outcome: Outcome | None) -> bool:
        """Note a target's outcome; None if it was not reached. Return whether another one waited for it."""
        entry = self._open.pop(seq, None)
        if entry is None:
            return False
        for follower in self._followers.pop(seq):
            self._required_by[follower].discard(seq)
            if outcome not in DONE:
                self._refusals.setdefault(follower, _explain_refusal(entry, outcome))
            if not self.is_waiting(follower):
                self._unblocked.append(follower)
        return True

    def abandon(self, gateway: str) -> bool:
        """Note that no worker takes this gateway's targets any more. Return whether any was awaited."""
        left = [seq for seq, entry in self._open.items() if entry.gateway == gateway]
        for seq in left:
            self.settle(seq, None)
        return bool(left)

    def take_unblocked(self) -> list[int]:
        """Return the targets unblocked since the last call, including those whose dependency failed."""
        unblocked, self._unblocked = list(self._unblocked), deque()
        return unblocked


def _explain_refusal(entry: Prerequisite, outcome: Outcome | None) -> str:
    became = "was not reached" if outcome is None else f"is {outcome.replace('_', ' ')}"
    return f"{Reason.DEPENDENCY}: {entry.id}, which comes first, {became}"
