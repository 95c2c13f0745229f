"""The connections to one server that wait for their next request."""

from __future__ import annotations

import asyncio
from collections import deque

from orchestrator.transport.request_connection import RequestConnection

KEPT_FOR = 15.0
"""Seconds that a connection rests before it is closed."""


class IdleConnections:
    """Connections at rest. The newest is used first, so that those that are not needed grow old."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._resting: deque[RequestConnection] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def take(self) -> RequestConnection | None:
        """Return a connection to which a request may be written now, before the event loop turns again."""
        while self._resting:
            connection = self._resting.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def keep(self, connection: RequestConnection) -> None:
        """Keep a connection for the next request, or close it unless it is at rest."""
        if not connection.rest():
            connection.close()
            return
        self._resting.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEPT_FOR, self._close_old)

    def close(self) -> None:
        """Close all of them."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._resting:
            self._resting.pop().close()

    def _close_old(self) -> None:
        until = self._loop.time() - KEPT_FOR
        while self._resting and self._resting[0].rests_since <= until:
            self._resting.popleft().close()
        self._sweep = self._loop.call_later(KEPT_FOR, self._close_old) if self._resting else None
