"""Who goes next: the open targets of one leg on one gateway, in the plan's order."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from orchestrator.journal.pending import START, Pending
from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep
from orchestrator.model.target import Target
from orchestrator.rules.dependencies import Dependencies
from orchestrator.rules.retry import TargetHistory

LOOK_AHEAD = 2000
"""Targets that may stand aside, since their like is under way or they come after another one, before the lane
waits for one of them."""


class ExclusiveKeys:
    """What is under way at one installation. Of targets that exclude one another one goes at a time, also
    where a plan names the installation twice."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._changed = Wakeup()

    def claim(self, key: str | None) -> bool:
        """Take the key if it is free; None is always free."""
        if key is None:
            return True
        if key in self._held:
            return False
        self._held.add(key)
        return True

    def release(self, key: str | None) -> None:
        """Give the key back, and wake who waits for one."""
        if key is None:
            return
        self._held.discard(key)
        self.wake()

    def wake(self) -> None:
        """Have those who wait look again."""
        self._changed.ring()

    async def wait(self) -> None:
        """Wait until some key is given back, or until somebody is woken for another reason."""
        await self._changed.wait()


class DependencyTracker:
    """What the targets of a leg wait for, and who is to be woken when that has changed."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.dependencies = dependencies
        self._queues: list[TargetQueue] = []

    def attach(self, queue: TargetQueue) -> None:
        """Have a feed told of its targets that need not wait any more."""
        self._queues.append(queue)

    def settle(self, seq: int, outcome: Outcome | None) -> None:
        """A target has ended; None is that nobody works on it any more."""
        if self.dependencies.settle(seq, outcome):
            self._unblock()

    def abandon(self, gateway: str) -> None:
        """The lane of a gateway has ended for this leg."""
        if self.dependencies.abandon(gateway):
            self._unblock()

    def _unblock(self) -> None:
        freed = self.dependencies.take_unblocked()
        for queue in self._queues:
            queue.unblock(freed)


class QueuedTarget(NamedTuple):
    """A target for a worker. ``refusal`` is why it will not be started, where that is so."""

    target: Target
    history: TargetHistory
    refusal: str | None = None


class TargetQueue:
    """Hands out targets to the workers of a lane. Those whose like is under way, and those that come after
    another one, stand aside, and whoever is free takes the next one that may go."""

    def __init__(
        self,
        pending: Pending,
        wave_step: WaveStep,
        gateway: Gateway,
        claims: ExclusiveKeys,
        order: DependencyTracker,
    ) -> None:
        self._pending = pending
        self._wave_step = wave_step
        self._gateway = gateway
        self._claims = claims
        self._dependencies = order.dependencies
        self._batch: deque[tuple[Target, TargetHistory]] = deque()
        self._after = START
        self._drained = False
        self._aside: dict[str, deque[tuple[Target, TargetHistory]]] = {}
        self._aside_count = 0
        self._waiting: dict[int, tuple[Target, TargetHistory]] = {}
        self._ready: deque[tuple[Target, TargetHistory]] = deque()
        order.attach(self)

    async def take(self) -> QueuedTarget | None:
        """Return the next target that may go now, or None when there is none left to wait for."""
        while True:
            taken = self._from_ready() or self._from_aside() or self._from_plan()
            if taken is not None or not (self._aside_count or self._waiting):
                return taken
            await self._claims.wait()

    def release(self, target: Target) -> None:
        """Let the next of those that this target excluded go."""
        self._claims.release(self._gateway.exclusive(target))

    def unblock(self, seqs: list[int]) -> None:
        """These need not wait for another target any more."""
        own = [self._waiting.pop(seq) for seq in seqs if seq in self._waiting]
        if own:
            self._ready.extend(own)
            self._claims.wake()

    def _from_ready(self) -> QueuedTarget | None:
        while self._ready:
            if taken := self._offer(self._ready.popleft()):
                return taken
        return None

    def _from_aside(self) -> QueuedTarget | None:
        key = next((key for key in self._aside if self._claims.claim(key)), None)
        if key is None:
            return None
        waiting = self._aside[key]
        item = waiting.popleft()
        self._aside_count -= 1
        if not waiting:
            del self._aside[key]
        return QueuedTarget(*item)

    def _from_plan(self) -> QueuedTarget | None:
        while self._aside_count + len(self._waiting) < LOOK_AHEAD and (item := self._read()) is not None:
            if self._dependencies.is_waiting(item[0].seq):
                self._waiting[item[0].seq] = item
            elif taken := self._offer(item):
                return taken
        return None

    def _offer(self, item: tuple[Target, TargetHistory]) -> QueuedTarget | None:
        """Hand a target out, or put it aside behind its like."""
        if (broken := self._dependencies.refusal(item[0].seq)) is not None:
            return QueuedTarget(*item, broken)
        key = self._gateway.exclusive(item[0])
        # Behind others of its like that stand aside it waits its turn.
        if key is None or (key not in self._aside and self._claims.claim(key)):
            return QueuedTarget(*item)
        self._aside.setdefault(key, deque()).append(item)
        self._aside_count += 1
        return None

    def _read(self) -> tuple[Target, TargetHistory] | None:
        if not self._batch and not self._drained:
            batch, self._after = self._pending.batch(self._wave_step, self._gateway.name, self._after)
            self._batch.extend(batch)
            self._drained = not batch
        return self._batch.popleft() if self._batch else None
