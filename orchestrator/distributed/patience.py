"""Asks a Temporal server again and again while it cannot be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import anyio
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.server_words import clean_words

Answer = TypeVar("Answer")

CALL_TIMEOUT = timedelta(seconds=10)
"""For the answer to one call, apart from those that wait for something to happen."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_ANSWERS = (RPCStatusCode.NOT_FOUND, RPCStatusCode.ALREADY_EXISTS, RPCStatusCode.INVALID_ARGUMENT)
"""The errors that are the server's answer. All others may pass, even a certificate that has just expired."""

REFUSALS = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)
"""The server knows us not, or has no right for us to what was asked."""

NO_ANSWER = (
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.UNKNOWN,
)
"""The errors of the way to the server. With any other one the server itself has answered."""

GONE_AFTER = 120.0
"""Seconds without an answer after which a command that has nothing under way asks no more."""


def is_gone(error: RPCError) -> bool:
    """Return whether the server says that it has no such workflow, or that it has ended."""
    return error.status is RPCStatusCode.NOT_FOUND


def is_refusal(error: RPCError) -> bool:
    """Return whether the server itself has answered, to somebody who has nothing under way there."""
    return error.status in (*_ANSWERS, *REFUSALS)


class ServerPatience:
    """Repeats calls for as long as it takes, and tells once when the server is away, and when it is back.

    ``tell`` gets the reason, and None once the server answers again.
    """

    def __init__(
        self, tell: Callable[[str | None], None] = lambda _: None, *, within: float | None = None
    ) -> None:
        """``within``: seconds without an answer after which the error of the last call is raised.

        Then a missing right counts as an answer, too: the caller has nothing under way that would be lost.
        """
        self._tell = tell
        self._within = within
        self._away_since: float | None = None

    @property
    def is_away(self) -> bool:
        """Whether the server gave no answer last time."""
        return self._away_since is not None

    async def ask(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what ``call`` returns. Raises RPCError where that is the server's own answer."""
        wait = _FIRST_WAIT
        while True:
            try:
                answer = await call()
            except RPCError as error:
                if self._is_answer(error):
                    self._note(None)
                    raise
                self._note(clean_words(error.message))
                if self._has_waited():
                    raise
            else:
                self._note(None)
                return answer
            await anyio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _is_answer(self, error: RPCError) -> bool:
        return is_refusal(error) if self._within is not None else error.status in _ANSWERS

    def _has_waited(self) -> bool:
        since, within = self._away_since, self._within
        return within is not None and since is not None and anyio.current_time() - since >= within

    def _note(self, why: str | None) -> None:
        if (why is not None) != self.is_away:
            self._away_since = None if why is None else anyio.current_time()
            self._tell(why)


def make_brief_patience(tell: Callable[[str], None]) -> ServerPatience:
    """Return the patience of a command that has nothing under way; ``tell`` gets a line of each outage."""
    return ServerPatience(
        lambda why: tell(f"the server does not answer: {why}") if why else None, within=GONE_AFTER
    )
