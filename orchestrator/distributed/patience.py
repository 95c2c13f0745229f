"""Asks a Temporal server again and again while it cannot be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import anyio
from temporalio.service import RPCError, RPCStatusCode

Answer = TypeVar("Answer")

CALL_TIMEOUT = timedelta(seconds=10)
"""For the answer to one call, apart from those that wait for something to happen."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_ANSWERS = (RPCStatusCode.NOT_FOUND, RPCStatusCode.ALREADY_EXISTS, RPCStatusCode.INVALID_ARGUMENT)
"""The errors that are the server's answer. All others may pass, even a certificate that has just expired."""


def is_gone(error: RPCError) -> bool:
    """Return whether the server says that it has no such workflow, or that it has ended."""
    return error.status is RPCStatusCode.NOT_FOUND


class ServerPatience:
    """Repeats calls for as long as it takes, and tells once when the server is away, and when it is back.

    ``tell`` gets the reason, and None once the server answers again.
    """

    def __init__(self, tell: Callable[[str | None], None] = lambda _: None) -> None:
        self._tell = tell
        self._is_away = False

    async def ask(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what ``call`` returns. Raises RPCError where that is the server's own answer."""
        wait = _FIRST_WAIT
        while True:
            try:
                answer = await call()
            except RPCError as error:
                if error.status in _ANSWERS:
                    self._note(None)
                    raise
                self._note(error.message)
            else:
                self._note(None)
                return answer
            await anyio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _note(self, why: str | None) -> None:
        if (why is not None) != self._is_away:
            self._is_away = why is not None
            self._tell(why)
