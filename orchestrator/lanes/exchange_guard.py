"""The end of every exchange: one that its transport does not end in time is cancelled, and counts as lost."""

from __future__ import annotations

import asyncio
from typing import Any

from orchestrator.model.http import Lost, Reply, Request, Send


class ExchangeGuard:
    """Sends requests through ``send``, and ends each exchange after ``seconds`` at the latest.

    All exchanges have the same bound, so they become overdue in the order in which they began: one timer, for
    the oldest of them, serves all. A cancel scope for each would cost more than the journal's rows do.
    """

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._ends: dict[asyncio.Task[Any], float] = {}
        """When each exchange is overdue, by the task that makes it: the oldest exchange comes first."""
        self._overdue: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def send(self, request: Request) -> Reply | Lost:
        """Send one request. An exchange that is overdue is lost, and may have arrived."""
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 - a coroutine that runs on a loop runs in a task
        cancelled = task.cancelling()
        self._ends[task] = self._loop.time() + self._seconds
        if self._timer is None:
            self._arm()
        try:
            return await self._send(request)
        except asyncio.CancelledError:
            # A second signal may cancel the same task at the same moment: then the exchange must not go on.
            if task not in self._overdue or task.uncancel() > cancelled:
                raise
            return Lost(sent=True, detail=f"the exchange did not end within {self._seconds:g} s")
        finally:
            self._ends.pop(task, None)
            self._overdue.discard(task)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        """Set the timer for the oldest exchange; without one, the next exchange sets it."""
        ends = next(iter(self._ends.values()), None)
        self._timer = None if ends is None else self._loop.call_at(ends, self._end_overdue)

    def _end_overdue(self) -> None:
        now = self._loop.time()
        for task in [task for task, ends in self._ends.items() if ends <= now]:
            del self._ends[task]
            self._overdue.add(task)
            task.cancel()
        self._arm()
