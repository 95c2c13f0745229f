"""The queue of a lane in one wave step: its open targets in the plan's order, as far as each may go now."""

from __future__ import annotations

from collections import deque

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.journal.pending import START, PendingTargets
from orchestrator.lanes.wakeup import Wakeup
from orchestrator.model.gateway import Gateway
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import WaveStep
from orchestrator.model.target import Target
from orchestrator.rules.dependencies import Dependencies
from orchestrator.rules.retry import TargetHistory

LOOK_AHEAD = 2000
"""Maximum number of targets held back by an exclusive key or a dependency. Beyond it the lane waits for one
of them: the targets of a large plan must not all come into memory."""


class ExclusiveKeys:
    """The exclusive keys that are in use at one installation.

    Of the targets with one key, one goes at a time. A plan may name one installation as two gateways: their
    lanes share the keys.
    """

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._awaited: list[str] = []
        """The keys that targets under way wait for: they go before the targets that were not begun."""
        self._changed = Wakeup()

    def claim(self, key: str) -> bool:
        """Take the key; return whether it was free."""
        if key in self._held or key in self._awaited:
            return False
        self._held.add(key)
        return True

    async def claim_first(self, key: str) -> None:
        """Take the key as soon as it is free, before any target that was not begun yet."""
        self._awaited.append(key)
        try:
            while key in self._held:
                await self._changed.wait()
        finally:
            self._awaited.remove(key)
        self._held.add(key)

    def release(self, key: str | None) -> None:
        """Give the key back, and wake the workers that wait for a target."""
        if key is None:
            return
        self._held.discard(key)
        self.wake()

    def wake(self) -> None:
        """Have every waiting worker look for a target again."""
        self._changed.ring()

    async def wait(self) -> None:
        """Wait until a key is given back, or until ``wake``."""
        await self._changed.wait()


class LateClaim:
    """The claim of a target on its exclusive key, whose look was put off: it gave the key back after its
    undeploy. Looks change nothing, so only a further change takes the key again."""

    def __init__(self, keys: ExclusiveKeys, key: str | None) -> None:
        self._keys = keys
        self._key = key
        self._is_held = False

    async def take(self) -> None:
        """Take the key as soon as the target that has it ends; at once where it is free or taken already."""
        if self._key is None or self._is_held:
            return
        if not self._keys.claim(self._key):
            await self._keys.claim_first(self._key)
        self._is_held = True

    def release(self) -> None:
        """Give the key back, if it was taken."""
        if self._is_held:
            self._is_held = False
            self._keys.release(self._key)


class DependencyTracker:
    """Tells the queues of a wave step which of their targets no longer wait for another target."""

    def __init__(self, dependencies: Dependencies) -> None:
        self.dependencies = dependencies
        self._queues: list[TargetQueue] = []

    def attach(self, queue: TargetQueue) -> None:
        """Tell this queue, too, from now on."""
        self._queues.append(queue)

    def settle(self, target: Target, outcome: Outcome | None, reason: str | None = None) -> None:
        """Note the outcome of a target, and its reason; None says that no worker takes it any more."""
        dependencies = self.dependencies
        if not dependencies.is_empty and dependencies.settle(target.seq, target.id, outcome, reason):
            self._unblock()

    def abandon(self, gateway: str) -> None:
        """Note that the lane of a gateway takes no more targets in this wave step."""
        if self.dependencies.abandon(gateway):
            self._unblock()

    def unblock_all(self) -> None:
        """Let no target wait for another one any more: the run starts nothing, and each may end."""
        for queue in self._queues:
            queue.unblock_all()

    def _unblock(self) -> None:
        unblocked = self.dependencies.take_unblocked()
        for queue in self._queues:
            queue.unblock(unblocked)


class QueuedTarget(Struct, frozen=True):
    """A target for a worker."""

    target: Target
    history: TargetHistory
    key: str | None
    """Its exclusive key."""
    refusal: str | None = None
    """Why the worker must not start it; None if it may."""


class TargetQueue:
    """Hands out the targets of one lane and one wave step to the lane's workers.

    A target whose exclusive key is in use, or that waits for another target, is held back; a free worker gets
    the next one that may go.
    """

    def __init__(
        self,
        pending: PendingTargets,
        wave_step: WaveStep,
        gateway: Gateway,
        keys: ExclusiveKeys,
        tracker: DependencyTracker,
    ) -> None:
        self._pending = pending
        self._wave_step = wave_step
        self._gateway = gateway
        self._keys = keys
        self._dependencies = tracker.dependencies
        self._batch: deque[QueuedTarget] = deque()
        self._after = START
        self._drained = False
        self._behind: dict[str, deque[QueuedTarget]] = {}
        """The targets that wait for an exclusive key, by that key."""
        self._behind_count = 0
        self._waiting: dict[int, QueuedTarget] = {}
        """The targets that wait for another target, by their own number."""
        self._unblocked: deque[QueuedTarget] = deque()
        tracker.attach(self)

    async def take(self) -> QueuedTarget | None:
        """Return the next target that may go now, or None if none is left to wait for."""
        while True:
            queued = self._take_held_back() or self._take_next()
            if queued is not None or not (self._behind_count or self._waiting):
                return queued
            # Both ring here: a key that is given back, and an awaited target that has ended.
            await self._keys.wait()

    def release(self, queued: QueuedTarget) -> None:
        """Give back the exclusive key of a target that has ended."""
        self._keys.release(queued.key)

    def claim_later(self, target: Target) -> LateClaim:
        """Return the claim of a target that has given its exclusive key back, and may need it once more."""
        return LateClaim(self._keys, self._gateway.exclusive_key(target))

    def unblock(self, seqs: list[int]) -> None:
        """Let those of these targets go that wait here for another target."""
        own = [self._waiting.pop(seq) for seq in seqs if seq in self._waiting]
        if own:
            self._unblocked.extend(own)
            self._keys.wake()

    def unblock_all(self) -> None:
        """Let all targets go that wait here for another target."""
        self.unblock(list(self._waiting))

    def _take_held_back(self) -> QueuedTarget | None:
        if not (self._unblocked or self._behind):  # as in most runs
            return None
        return self._take_unblocked() or self._take_behind_key()

    def _take_unblocked(self) -> QueuedTarget | None:
        while self._unblocked:
            if queued := self._offer(self._unblocked.popleft()):
                return queued
        return None

    def _take_behind_key(self) -> QueuedTarget | None:
        key = next((key for key in self._behind if self._keys.claim(key)), None)
        if key is None:
            return None
        behind = self._behind[key]
        queued = behind.popleft()
        self._behind_count -= 1
        if not behind:
            del self._behind[key]
        return queued

    def _take_next(self) -> QueuedTarget | None:
        while self._behind_count + len(self._waiting) < LOOK_AHEAD and (queued := self._read()) is not None:
            if self._dependencies.is_empty and queued.key is None:
                return queued
            if self._dependencies.is_waiting(queued.target.seq):
                self._waiting[queued.target.seq] = queued
            elif offered := self._offer(queued):
                return offered
        return None

    def _offer(self, queued: QueuedTarget) -> QueuedTarget | None:
        """Return the target if it may go now; otherwise hold it back behind its exclusive key."""
        if (refusal := self._dependencies.refusal(queued.target.seq)) is not None:
            return replace(queued, refusal=refusal)
        key = queued.key
        # Even if the key is free: others of its key may be held back already, and go first.
        if key is None or (key not in self._behind and self._keys.claim(key)):
            return queued
        self._behind.setdefault(key, deque()).append(queued)
        self._behind_count += 1
        return None

    def _read(self) -> QueuedTarget | None:
        if not self._batch and not self._drained:
            batch, self._after = self._pending.read_batch(self._wave_step, self._gateway.name, self._after)
            find_key = self._gateway.exclusive_key
            self._batch.extend([QueuedTarget(target, history, find_key(target)) for target, history in batch])
            self._drained = not batch
        return self._batch.popleft() if self._batch else None
