"""The parts of lanes that a driver follows: what their histories hold comes here, however they ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest
from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryResponse,
    SignalWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.lane_tails import LaneTails
from orchestrator.distributed.names import CHUNK_ACTIVITY, name_chunk_activity
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import ChunkEnd, LaneCarry, StopState
from orchestrator.distributed.run_news import LanePartBegun, LanePartOver
from orchestrator.distributed.takeover import DispatchKey, ResultTaker

LANE = "undeploy/run/1/lane/0.0/apim/0"


class LaneServer:
    """A client of a server with the history of one lane, whose run is not told anything."""

    namespace = "default"
    identity = "test"
    data_converter = CONVERTER

    def __init__(self, events: list[HistoryEvent]) -> None:
        self._events = events
        self.workflow_service = self
        self.signals: list[str] = []

    async def get_workflow_execution_history(
        self, *_: object, **__: object
    ) -> GetWorkflowExecutionHistoryResponse:
        await anyio.lowlevel.checkpoint()  # as an answer over a network comes: never at once
        return GetWorkflowExecutionHistoryResponse(history=History(events=self._events))

    async def signal_workflow_execution(self, request: SignalWorkflowExecutionRequest, **__: object) -> None:
        self.signals.append(request.signal_name)
        raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")


class Taken:
    """A ``ResultTaker`` that notes what it gets."""

    def __init__(self) -> None:
        self.segments: dict[DispatchKey, tuple[bytes, ...]] = {}

    def take(self, key: DispatchKey, segments: tuple[bytes, ...]) -> None:
        self.segments[key] = segments

    def settle(self, key: DispatchKey) -> None:
        """Note nothing."""


async def make_events(*results: bytes) -> list[HistoryEvent]:
    """Return the history of a lane whose chunks had these results, and which was terminated then."""
    events: list[HistoryEvent] = []
    for dispatch, segment in enumerate(results):
        scheduled = HistoryEvent(
            event_id=len(events) + 1, event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        )
        attributes = scheduled.activity_task_scheduled_event_attributes
        attributes.activity_type.name, attributes.activity_id = CHUNK_ACTIVITY, name_chunk_activity(dispatch)
        completed = HistoryEvent(
            event_id=len(events) + 2, event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        )
        end = ChunkEnd(
            segments=(segment,),
            left=0,
            rows=b"",
            counts=(),
            stop=StopState(),
            breach=None,
            carry=LaneCarry(),
            refusal=None,
        )
        result = completed.activity_task_completed_event_attributes
        result.scheduled_event_id = scheduled.event_id
        result.result.CopyFrom(Payloads(payloads=await CONVERTER.encode([end])))
        events += [scheduled, completed]
    ended = HistoryEvent(
        event_id=len(events) + 1, event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
    )
    return [*events, ended]


@pytest.mark.promise(1)
async def test_the_results_of_a_part_that_was_lost_are_taken_over_by_a_driver_that_comes_later() -> None:
    """It hears in one breath that the part has begun and that it was lost, before it has read anything."""
    server, taken = LaneServer(await make_events(b"first", b"second")), Taken()
    client, taker = cast("Client", cast("Any", server)), cast("ResultTaker", cast("Any", taken))
    async with anyio.create_task_group() as group:
        lanes = LaneTails(client, "undeploy/run/1", taker, ServerPatience(), group)
        lanes.begin(LanePartBegun(workflow=LANE, gateway="apim", index=0))
        lanes.end(LanePartOver(workflow=LANE, gateway="apim", dispatches=0, refusal="parked: it was lost"))
        with anyio.fail_after(5):
            await lanes.finish()

    assert taken.segments == {DispatchKey(LANE, 0): (b"first",), DispatchKey(LANE, 1): (b"second",)}
    assert server.signals == ["part_taken"]


async def test_a_part_whose_workflow_ended_without_a_word_is_told_to_its_run() -> None:
    """A run that has continued as new watches the lanes of before no longer, and would wait for ever."""
    server = LaneServer(await make_events(b"first"))
    client, taker = cast("Client", cast("Any", server)), cast("ResultTaker", cast("Any", Taken()))
    async with anyio.create_task_group() as group:
        lanes = LaneTails(client, "undeploy/run/1", taker, ServerPatience(), group)
        lanes.begin(LanePartBegun(workflow=LANE, gateway="apim", index=0))
        with anyio.fail_after(5):
            await lanes.finish(0)

    assert server.signals == ["lane_lost"]


async def test_all_parts_are_called_back_also_those_that_have_ended() -> None:
    cancelled: list[str] = []

    def get_workflow_handle(workflow: str) -> object:
        async def cancel(**_: object) -> None:
            cancelled.append(workflow)
            raise RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b"")

        return SimpleNamespace(cancel=cancel)

    server = LaneServer(await make_events())
    server.__dict__["get_workflow_handle"] = get_workflow_handle
    client, taker = cast("Client", cast("Any", server)), cast("ResultTaker", cast("Any", Taken()))
    async with anyio.create_task_group() as group:
        lanes = LaneTails(client, "undeploy/run/1", taker, ServerPatience(), group)
        for number in range(2):
            lanes.begin(LanePartBegun(workflow=f"{LANE}{number}", gateway="apim", index=0))
        await lanes.call_back()
        with anyio.fail_after(5):
            await lanes.finish()

    assert cancelled == [f"{LANE}0", f"{LANE}1"]
