"""Who goes next: the open targets of one wave on one gateway, in the plan's order."""

from __future__ import annotations

from collections import deque

import anyio

from orchestrator.journal.pending import Pending
from orchestrator.model import Gateway, Target
from orchestrator.retry import Past

LOOK_AHEAD = 2000
"""Targets that may stand aside because their like is under way, before the lane waits for one of them."""


class Claims:
    """What is under way at one installation. Of targets that exclude one another one goes at a time, also
    where a plan names the installation twice."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._released = anyio.Event()

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
        released, self._released = self._released, anyio.Event()
        released.set()

    async def wait(self) -> None:
        """Wait until some key is given back."""
        await self._released.wait()


class Feed:
    """Hands out targets to the workers of a lane. Those whose like is under way stand aside, and whoever is
    free takes the next one that may go."""

    def __init__(self, pending: Pending, wave: int, gateway: Gateway, claims: Claims) -> None:
        self._pending = pending
        self._wave = wave
        self._gateway = gateway
        self._claims = claims
        self._batch: deque[tuple[Target, Past]] = deque()
        self._after = 0
        self._drained = False
        self._aside: dict[str, deque[tuple[Target, Past]]] = {}
        self._aside_count = 0

    async def take(self) -> tuple[Target, Past] | None:
        """Return the next target that may go now, or None when there is none left to wait for."""
        while True:
            item = self._from_aside() or self._from_plan()
            if item is not None or not self._aside_count:
                return item
            await self._claims.wait()

    def release(self, target: Target) -> None:
        """Let the next of those that this target excluded go."""
        self._claims.release(self._gateway.exclusive(target))

    def _from_aside(self) -> tuple[Target, Past] | None:
        key = next((key for key in self._aside if self._claims.claim(key)), None)
        if key is None:
            return None
        waiting = self._aside[key]
        item = waiting.popleft()
        self._aside_count -= 1
        if not waiting:
            del self._aside[key]
        return item

    def _from_plan(self) -> tuple[Target, Past] | None:
        while self._aside_count < LOOK_AHEAD and (item := self._read()) is not None:
            key = self._gateway.exclusive(item[0])
            # Behind others of its like that stand aside it waits its turn.
            if key is None or (key not in self._aside and self._claims.claim(key)):
                return item
            self._aside.setdefault(key, deque()).append(item)
            self._aside_count += 1
        return None

    def _read(self) -> tuple[Target, Past] | None:
        if not self._batch and not self._drained:
            self._batch.extend(self._pending.batch(self._wave, self._gateway.name, self._after))
            self._drained = not self._batch
            if self._batch:
                self._after = self._batch[-1][0].seq
        return self._batch.popleft() if self._batch else None
