"""Waking everybody who waits for something to change, as often as it changes."""

from __future__ import annotations

import math

import anyio


class Wakeup:
    """A bell that may ring many times. Each ring wakes those who wait at that moment, and only those."""

    def __init__(self) -> None:
        self._rung = anyio.Event()
        self._waiting = 0

    def ring(self) -> None:
        """Wake all who wait now."""
        if not self._waiting:
            return
        # An event stays set for good, so those who come later must wait for a new one.
        rung, self._rung = self._rung, anyio.Event()
        rung.set()

    async def wait(self, seconds: float = math.inf) -> None:
        """Wait for the next ring, but no longer than ``seconds``."""
        self._waiting += 1
        try:
            with anyio.move_on_after(seconds):
                await self._rung.wait()
        finally:
            self._waiting -= 1
