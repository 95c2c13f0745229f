"""The order that ``after`` gives to targets: which ones wait, and which are not started at all. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from orchestrator.model.outcome import Outcome, Reason, is_as_wanted
from orchestrator.model.target import TargetId
from orchestrator.rules.followers import Followers


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
    reason: str | None
    """The reason of that outcome."""
    in_same_step: bool
    """Whether both go in the same wave step."""


class Dependencies:
    """The waiting targets of one wave step, and the targets that they wait for.

    A target is refused if a target that it requires did not end down. A million dependencies take 30 MB.
    """

    def __init__(self, read: Callable[[], Iterable[Prerequisite]]) -> None:
        """``read`` gives the entries of ``after`` in this wave step; it is called again for a lane that ends
        early, since the entries themselves are not kept."""
        self._read = read
        self._refused_by: dict[int, int] = {}
        """For each refused target that no worker has taken: the target that it requires."""
        self._explanations: dict[int, str] = {}
        """For each such required target: why none goes after it."""
        self._unblocked: deque[int] = deque()
        self._followers = Followers(self._list_open())
        self._waits_for, self._awaited_by = self._followers.waits_for, self._followers.awaited_by
        self.is_empty = not self._followers
        """Whether no target waits for another one, as in most wave steps."""

    def _list_open(self) -> Iterator[tuple[int, int]]:
        """Yield each waiting target with one that it requires; refuse those that require one in vain."""
        for entry in self._read():
            if is_as_wanted(entry.outcome, entry.reason):
                continue
            # An earlier wave step has ended: a target of it that is not down by now will not be.
            if entry.outcome is not None or not entry.in_same_step:
                self._explanations[entry.required] = _explain_refusal(entry.id, entry.outcome)
                self._refused_by.setdefault(entry.seq, entry.required)
            yield entry.seq, entry.required

    def is_waiting(self, seq: int) -> bool:
        """Return whether a target has to wait still; a refused one has not."""
        return self._waits_for[seq] > 0 and seq not in self._refused_by

    def refusal(self, seq: int) -> str | None:
        """Return why a target will not be started, or None."""
        required = self._refused_by.get(seq)
        return None if required is None else self._explanations[required]

    def is_awaited(self, seq: int) -> bool:
        """Return whether another target waits for this one."""
        return self._awaited_by[seq] > 0

    def settle(self, seq: int, name: TargetId, outcome: Outcome | None, reason: str | None = None) -> bool:
        """Note the outcome of the target ``name``, and its reason; None if it was not reached.

        Return whether another one waited for it.
        """
        self._refused_by.pop(seq, None)
        if not self._awaited_by.take_all(seq):
            return False
        may_follow = is_as_wanted(outcome, reason)
        if not may_follow:
            self._explanations[seq] = _explain_refusal(name, outcome)
        for follower in self._followers[seq]:
            left = self._waits_for.take_one(follower)
            if not may_follow:
                self._refused_by.setdefault(follower, seq)
            if not left or follower in self._refused_by:
                self._unblocked.append(follower)
        return True

    def abandon(self, gateway: str) -> bool:
        """Note that no worker takes this gateway's targets any more. Return whether any was awaited."""
        if not any(self._awaited_by):
            return False
        left = {entry.required: entry.id for entry in self._read() if entry.gateway == gateway}
        settled = [self.settle(required, name, None) for required, name in left.items()]
        return any(settled)

    def take_unblocked(self) -> list[int]:
        """Return the targets unblocked since the last call, including those whose dependency failed."""
        unblocked, self._unblocked = list(self._unblocked), deque()
        return unblocked


def _explain_refusal(required: TargetId, outcome: Outcome | None) -> str:
    became = "was not reached" if outcome is None else f"is {outcome.replace('_', ' ')}"
    return f"{Reason.DEPENDENCY}: {required}, which comes first, {became}"
