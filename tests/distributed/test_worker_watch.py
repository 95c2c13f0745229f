"""A driver without a worker, or without a server: what it says, when it stops, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from temporalio.api.enums.v1 import EventType, PendingWorkflowTaskState
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflow.v1 import PendingWorkflowTaskInfo
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryResponse
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.address import parse_engine_address
from orchestrator.distributed.conductor import TemporalConductor
from orchestrator.distributed.payloads import JournalPages
from orchestrator.distributed.session_link import SessionLink
from orchestrator.distributed.worker_watch import WorkerWatch
from orchestrator.engine.conductor import EngineLeftError
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.lanes.run_gate import RunGate
from orchestrator.model.events import AnyEvent, GatewayWarned, RunNoted, RunWarned
from orchestrator.model.plan import Plan, Wave
from tests.simulation.clock import stand_still
from tests.support.engine import environment, gateway, played, resources

URL = "temporal://127.0.0.1:7233/default"
PARK_FOR = 60.0
LEASE = 10.0
SCHEDULED = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED

State = Callable[[float], str]
"""How the server is at a second: ``served``, ``alone`` (no worker is there), or ``away``."""


class Server:
    """A client of a server with one workflow."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.workflow_service = self
        self.namespace = "default"

    def get_workflow_handle(self, _: str) -> Server:
        return self

    def _answer(self) -> str:
        if (state := self._state(anyio.current_time())) == "away":
            raise RPCError("tcp connect error", RPCStatusCode.UNAVAILABLE, b"")
        return state

    async def describe(self, **_: object) -> Any:
        task = PendingWorkflowTaskInfo()
        if self._answer() == "alone":
            task.state = SCHEDULED
            task.original_scheduled_time.FromSeconds(1_795_000_000)
        return SimpleNamespace(raw_description=SimpleNamespace(pending_workflow_task=task))

    async def get_workflow_execution_history(
        self, *_: object, **__: object
    ) -> GetWorkflowExecutionHistoryResponse:
        self._answer()
        taken = HistoryEvent(event_id=4, event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
        return GetWorkflowExecutionHistoryResponse(history=History(events=[taken]))


class Notes:
    """A record that keeps nothing."""

    def keep_note(self, *_: object, **__: object) -> None:
        return


class Watched:
    """One watch, and what became of it."""

    def __init__(self, state: State, *, was_told: bool = False, **spec: Any) -> None:
        self.gate = RunGate()
        self.events: list[AnyEvent] = []
        here = environment()
        plan = Plan(
            name="p",
            gateways=(gateway("a", zone="east", park_for=PARK_FOR),),
            waves=(Wave(name="w"),),
            snapshot="off",
        )
        request = RunRequest(options=RunOptions(), conductor=TemporalConductor(parse_engine_address(URL)))
        given = {"plan": plan, "request": request, **spec}
        shared = resources(here, self.gate, Notes(), self.events.append, **given)
        link = SessionLink(Server(state), "undeploy/r/1", shared, address=URL)  # type: ignore[arg-type]
        pages = JournalPages(workflow="w", pages=1, size=1, digest="d")
        self.watch = WorkerWatch(
            link,
            shared,
            lambda: None,
            was_told=was_told,
            given=SimpleNamespace(lease=LEASE, journal=pages),  # type: ignore[arg-type]
        )

    def play(
        self, seconds: float = 600.0, stop_at: float | None = None, stands_still_at: float | None = None
    ) -> float:
        """Watch until there is no hope, or for so long; return the second at which that was.

        ``stands_still_at``: when this process stands still, for ten times ``PARK_FOR``.
        """

        async def stop() -> None:
            if stop_at is not None:
                await anyio.sleep(stop_at)
                self.gate.stop("interrupt", "SIGINT was received")

        async def main() -> float:
            if stands_still_at is not None:
                asyncio.get_running_loop().call_later(stands_still_at, stand_still, 10 * PARK_FOR)
            async with anyio.create_task_group() as group:
                group.start_soon(stop)
                with anyio.move_on_after(seconds):
                    await self.watch.wait_until_hopeless()
                group.cancel_scope.cancel()
            return anyio.current_time()

        return played(main)

    def leave(self) -> EngineLeftError:
        """End without the workflow."""
        with pytest.raises(EngineLeftError) as caught:
            played(self.watch.end_alone)
        return caught.value

    @property
    def told(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, RunWarned | RunNoted)]


def test_a_missing_worker_is_told_of_the_run_and_of_no_gateway() -> None:
    watched = Watched(lambda at: "alone" if at < 20 else "served")

    watched.play(40)

    assert watched.told == [
        f"no worker at {URL} takes the run's work; start one with `undeploy worker --zone east --on {URL}`",
        "a worker takes the run's work again",
    ]
    assert not any(isinstance(event, GatewayWarned) for event in watched.events)
    assert watched.gate.stop_kind is None


def test_what_an_earlier_process_told_is_over_once_a_worker_takes_the_work() -> None:
    watched = Watched(lambda at: "alone" if at < 20 else "served", was_told=True)

    watched.play(40)

    assert watched.told[1:] == ["a worker takes the run's work again"]
    assert Watched(lambda _: "served", was_told=True).play(5) == 5.0


def test_a_server_that_dies_while_the_run_is_interrupted_is_what_is_missing_and_no_worker() -> None:
    watched = Watched(lambda at: "served" if at < 10 else "away")

    assert watched.play(stop_at=10.0) < 10.0 + LEASE + 10.0
    left = watched.leave()

    assert "no worker" not in " ".join((*watched.told, str(left), left.advice))
    assert str(left).startswith(f"the Temporal server at {URL} does not answer, ")
    assert left.advice.startswith("once it answers again, the run may go on there: `undeploy resume ")


def test_a_server_that_stays_away_stops_the_run_after_park_for_by_its_own_name() -> None:
    watched = Watched(lambda _: "away")

    watched.play()

    assert (
        watched.gate.reason == f"interrupt: the Temporal server at {URL} does not answer for 1 min (park_for)"
    )


def test_a_driver_that_stood_still_waits_for_a_server_that_is_away_as_long_as_ever() -> None:
    back_at = 10 * PARK_FOR + 30.0
    watched = Watched(lambda at: "away" if 5 < at < back_at else "served")

    watched.play(12 * PARK_FOR, stands_still_at=20.5)

    assert watched.gate.stop_kind is None
    # Work that waits at the server has waited for a worker all the while.
    watched = Watched(lambda at: "alone")
    watched.play(12 * PARK_FOR, stands_still_at=20.5)
    assert watched.gate.stop_kind == "control"


def test_a_worker_is_not_said_to_be_back_because_the_server_is() -> None:
    watched = Watched(lambda at: "away" if 20 <= at < 30 else "alone")

    watched.play(50)

    assert len(watched.told) == 1


def test_a_session_that_was_stopped_before_waits_for_a_worker_as_long_as_a_new_run() -> None:
    watched = Watched(lambda _: "alone", is_underway=True, is_followed=True)
    watched.gate.stop("interrupt", "SIGINT was received")

    assert PARK_FOR <= watched.play() < PARK_FOR + 3
    assert watched.told[0].startswith(f"no worker at {URL} takes the run's work; start one")
    assert str(watched.leave()).startswith(f"no worker at {URL} takes the run's work, ")
