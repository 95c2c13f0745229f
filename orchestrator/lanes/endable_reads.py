"""The reads in flight that end as soon as the run has no use for their replies.

They change nothing at the gateway. Otherwise a page that hangs would hold an interrupted run for as long as
one reply may take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost
from orchestrator.model.reading import Act

ENDED = Lost(sent=True, detail="the run stopped before the reply came", ended=True)
"""The answer to a read that the run has ended. Its request may have arrived."""


class EndableReads:
    """The reads of one lane that a stop of the run, or the window's close, ends."""

    def __init__(self, gateway: Gateway, run_gate: RunGate, monotonic: Callable[[], float]) -> None:
        self._gateway = gateway
        self._run_gate = run_gate
        self._monotonic = monotonic
        self._scopes: dict[anyio.CancelScope, Act] = {}
        run_gate.call_on_change(self._end_useless)

    @contextmanager
    def end_when_useless(self, act: Act) -> Iterator[None]:
        """End the block once the run lets no request of ``act`` start: those would follow from the reply.

        A block that ends so raises nothing.
        """
        seconds = self._run_gate.seconds_until_refused(act, self._monotonic(), self._gateway)
        with anyio.move_on_after(seconds) as scope:
            self._scopes[scope] = act
            try:
                yield
            finally:
                del self._scopes[scope]

    def _end_useless(self) -> None:
        now, takes = self._monotonic(), self._gateway.reply_timeout
        for scope, act in self._scopes.items():
            if self._run_gate.refusal(act, now, takes=takes) is not None:
                scope.cancel()
