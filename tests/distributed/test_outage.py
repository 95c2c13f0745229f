"""A server that is lost while a session begins: the run stops in time, and says what is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.outage import OutageWatch
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.silence import LANDING
from orchestrator.engine.conductor import EngineLeftError
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.plan import Plan, Wave
from tests.simulation.clock import stand_still
from tests.support.engine import environment, gateway, played, resources

URL = "temporal://127.0.0.1:7233/default"
PARK_FOR = 60.0
LEASE = 10.0


class Begun:
    """A question at the beginning of a session to a server that is away until a second."""

    def __init__(self, back_at: float, **spec: Any) -> None:
        self.gate = RunGate()
        self._back_at = back_at
        self._patience = ServerPatience()
        plan = Plan(
            name="p", gateways=(gateway("a", park_for=PARK_FOR),), waves=(Wave(name="w"),), snapshot="off"
        )
        shared = resources(environment(), self.gate, None, lambda _: None, plan=plan, **spec)
        self._watch = OutageWatch(self._patience, shared, address=URL, lease=LEASE)

    async def _call(self) -> str:
        if anyio.current_time() < self._back_at:
            raise RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b"")
        return "an answer"

    def ask(self, stop_at: float | None = None, stands_still_at: float | None = None) -> tuple[float, str]:
        """Return when the question ended, and with what.

        ``stands_still_at``: when this process stands still, for ten times ``PARK_FOR``.
        """

        async def stop() -> None:
            if stop_at is not None:
                await anyio.sleep(stop_at)
                self.gate.stop("interrupt", "SIGINT was received")

        async def main() -> tuple[float, str]:
            if stands_still_at is not None:
                asyncio.get_running_loop().call_later(stands_still_at, stand_still, 10 * PARK_FOR)
            async with anyio.create_task_group() as group:
                group.start_soon(stop)
                answer = await self._end(lambda: self._watch.ask(lambda: self._patience.ask(self._call)))
                group.cancel_scope.cancel()
            return anyio.current_time(), answer

        return played(main)

    async def _end(self, ask: Callable[[], Awaitable[str]]) -> str:
        try:
            return await ask()
        except EngineLeftError as left:
            return f"{left}; {left.advice}"


def test_an_outage_that_ends_in_time_costs_the_run_nothing() -> None:
    begun = Begun(back_at=PARK_FOR - 20)

    assert begun.ask()[1] == "an answer"
    assert begun.gate.stop_kind is None


def test_an_outage_from_before_a_standstill_does_not_stop_the_run_at_once() -> None:
    """The network of a machine that wakes takes some seconds, and the server was not asked meanwhile."""
    begun = Begun(back_at=10 * PARK_FOR + 10.0)

    ended_at, answer = begun.ask(stands_still_at=3.5)

    assert (answer, begun.gate.stop_kind) == ("an answer", None)
    assert ended_at > 10 * PARK_FOR


def test_a_server_that_stays_away_stops_the_run_after_park_for() -> None:
    begun = Begun(back_at=1e9)

    ended_at, answer = begun.ask()

    assert answer.startswith(
        f"the Temporal server at {URL} does not answer, so that what was in flight is not known here;"
        " once it answers again, the run may go on there: `undeploy resume "
    )
    assert (
        begun.gate.reason == f"interrupt: the Temporal server at {URL} does not answer for 1 min (park_for)"
    )
    assert PARK_FOR <= ended_at < PARK_FOR + LEASE + LANDING + 3


def test_a_stop_that_cannot_be_told_ends_the_wait_after_the_lease() -> None:
    ended_at, answer = Begun(back_at=1e9).ask(stop_at=5.0)

    assert answer.startswith(f"the Temporal server at {URL} does not answer")
    assert ended_at < 5.0 + LEASE + LANDING + 3


def test_a_stop_does_not_end_the_wait_for_a_server_that_is_back() -> None:
    assert Begun(back_at=10.0).ask(stop_at=5.0)[1] == "an answer"


def test_what_the_server_answers_is_raised_as_it_is() -> None:
    async def refuse() -> None:
        raise RPCError("bad memo", RPCStatusCode.INVALID_ARGUMENT, b"")

    begun = Begun(back_at=0.0)
    with pytest.raises(RPCError, match="bad memo"):
        played(lambda: begun._watch.ask(refuse))
