"""Follows the histories of the lanes' workflows, and takes the results of their chunks over."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import anyio
import msgspec
from anyio.abc import TaskGroup
from msgspec import Struct, field
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, PendingWorkflowTaskState
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError

from orchestrator.distributed.history import HistoryReader, decode_payload
from orchestrator.distributed.names import CHUNK_ACTIVITY, read_chunk_activity
from orchestrator.distributed.patience import CALL_TIMEOUT, ServerPatience
from orchestrator.distributed.payloads import ChunkBeat, ChunkEnd
from orchestrator.distributed.run_news import LanePartBegun, LanePartOver
from orchestrator.distributed.signals import send_signal
from orchestrator.distributed.takeover import DispatchKey, ResultTaker

BEAT_PERIOD = 1.0
"""Seconds between two looks at what the chunks under way have done so far."""

_STARTS_WITHIN = 0.2
"""Seconds between two questions for a lane's workflow that is about to start."""


class LaneTail(Struct, kw_only=True):
    """One part of a lane, as far as its results are here."""

    part: LanePartBegun
    dispatches: dict[int, int] = field(default_factory=dict)
    """Which dispatch the event of that number has scheduled."""
    settled: set[int] = field(default_factory=set)
    """The dispatches whose results are here, and those that had none."""
    expected: int | None = None
    """How many dispatches there were; None while there may be more."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_complete(self) -> bool:
        """Whether no result can be missing."""
        return self.expected is not None and len(self.settled) >= self.expected


class LaneTails:
    """The parts of lanes that one session has begun."""

    def __init__(
        self,
        client: Client,
        run_workflow: str,
        taker: ResultTaker,
        patience: ServerPatience,
        group: TaskGroup,
    ) -> None:
        self._client = client
        self._run_workflow = run_workflow
        self._taker = taker
        self._patience = patience
        self._group = group
        self._tails: dict[str, LaneTail] = {}
        self._is_run_over = False
        self._waiting: dict[str, int] = {}

    def begin(self, part: LanePartBegun) -> None:
        """Follow the workflow of a part, unless that is done already."""
        if part.workflow not in self._tails:
            tail = self._tails[part.workflow] = LaneTail(part=part)
            self._group.start_soon(self._follow, tail)

    def end(self, part: LanePartOver) -> None:
        """Note how many results the part has."""
        if (tail := self._tails.get(part.workflow)) is not None:
            tail.expected = part.dispatches
            self._stop_if_complete(tail)

    async def finish(self, index: int | None = None) -> None:
        """Wait until the results of the step at ``index`` are here; None: all, once the run is over."""
        self._is_run_over = index is None
        for tail in list(self._tails.values()):
            if index is None or tail.part.index == index:
                await tail.done.wait()

    async def call_back(self) -> None:
        """Have all parts end, once what flies has landed: the workflow of their run is gone.

        A part that waits for a word of it, as in a pause, would wait for ever.
        """
        for workflow in self._tails:
            await self._cancel(workflow)

    async def watch_beats(self) -> None:
        """Take over, again and again, what the chunks under way have done so far. Never returns."""
        while True:
            await anyio.sleep(BEAT_PERIOD)
            for tail in [tail for tail in self._tails.values() if not tail.done.is_set()]:
                await self._look_at_beats(tail)

    def find_waiting(self) -> int | None:
        """Return since when the oldest decision of a lane waits for any worker; None if none waits.

        In nanoseconds of the server's clock, as ``find_waiting_task`` returns them; one period old.
        """
        return min(self._waiting.values(), default=None)

    async def _follow(self, tail: LaneTail) -> None:
        with tail.scope:
            # The news of a lane come a moment before its workflow is there.
            while not await self._read_history(tail) and self._may_go_on(tail):  # noqa: ASYNC110 - it is elsewhere
                await anyio.sleep(_STARTS_WITHIN)
            if self._may_go_on(tail):
                # Its run was told of no end: one that has continued as new watches no lane of before.
                await self._tell_run("lane_lost", tail.part.workflow)
        if tail.expected == 0:
            await self._read_history(tail, wait=False)
        # A workflow that was ended from outside has no event for the chunk that was under way.
        for dispatch in tail.dispatches.values():
            self._taker.settle(DispatchKey(tail.part.workflow, dispatch))
        self._waiting.pop(tail.part.workflow, None)
        tail.done.set()
        if tail.is_complete:
            await self._tell_run("part_taken", tail.part.workflow)

    def _may_go_on(self, tail: LaneTail) -> bool:
        """Return whether the end of a part is not known, and its run goes on."""
        return tail.expected is None and not self._is_run_over

    async def _read_history(self, tail: LaneTail, *, wait: bool = True) -> bool:
        """Take over what the history of a part holds, to its end; return whether the server had a history.

        Without ``wait`` that is what it holds now. A part that was lost counts no results: it may have some.
        """
        reader = HistoryReader(self._client, tail.part.workflow, self._patience, wait=wait)
        is_there = False
        # Later on, a history that is gone has told all that it had to tell.
        with suppress(RPCError):
            while not (wait and tail.is_complete) and (events := await reader.read()) is not None:
                is_there = True
                for event in events:
                    await self._observe(tail, event)
        return is_there

    async def _tell_run(self, signal: str, workflow: str) -> None:
        try:
            await send_signal(self._client, self._run_workflow, signal, workflow, patience=self._patience)
        except RPCError:
            return  # the run is over, and waits for nothing

    def _stop_if_complete(self, tail: LaneTail) -> None:
        """End the wait for further events of a part that has no further results."""
        if tail.is_complete:
            tail.scope.cancel()

    async def _observe(self, tail: LaneTail, event: HistoryEvent) -> None:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name == CHUNK_ACTIVITY:
                    tail.dispatches[event.event_id] = read_chunk_activity(scheduled.activity_id)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                completed = event.activity_task_completed_event_attributes
                await self._settle(tail, completed.scheduled_event_id, completed.result.payloads, ChunkEnd)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                timed_out = event.activity_task_timed_out_event_attributes
                beats = _find_last_beat(timed_out.failure)
                await self._settle(tail, timed_out.scheduled_event_id, beats, ChunkBeat)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                failed = event.activity_task_failed_event_attributes
                details = failed.failure.application_failure_info.details.payloads
                await self._settle(tail, failed.scheduled_event_id, details, ChunkBeat)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
                # A worker never says that: the server does, of a chunk that none had taken.
                cancelled = event.activity_task_canceled_event_attributes
                await self._settle(tail, cancelled.scheduled_event_id, (), ChunkBeat)
            case _:
                pass

    async def _settle(
        self,
        tail: LaneTail,
        scheduled: int,
        payloads: Sequence[Payload],
        kind: type[ChunkEnd] | type[ChunkBeat],
    ) -> None:
        """Take over the result of a dispatch, if it has one."""
        if (dispatch := tail.dispatches.get(scheduled)) is None:
            return  # no chunk
        key = DispatchKey(tail.part.workflow, dispatch)
        if payloads:
            await self._take(key, payloads[0], kind)
        self._taker.settle(key)
        tail.settled.add(dispatch)

    async def _take(self, key: DispatchKey, payload: Payload, kind: type[ChunkEnd] | type[ChunkBeat]) -> None:
        """Take over what a payload holds; nothing of one that is no worker's: the server writes some, too."""
        try:
            found: ChunkEnd | ChunkBeat = await decode_payload(self._client, payload, kind)
        except msgspec.ValidationError:
            return
        self._taker.take(key, found.segments)

    async def _cancel(self, workflow: str) -> None:
        handle = self._client.get_workflow_handle(workflow)
        with suppress(RPCError):  # it has ended
            await self._patience.ask(lambda: handle.cancel(rpc_timeout=CALL_TIMEOUT))

    async def _look_at_beats(self, tail: LaneTail) -> None:
        handle = self._client.get_workflow_handle(tail.part.workflow)
        try:
            described = await self._patience.ask(lambda: handle.describe(rpc_timeout=CALL_TIMEOUT))
        except RPCError:
            return  # its end is in its history
        self._note_waiting(tail, find_waiting_task(described))
        for pending in described.raw_description.pending_activities:
            if pending.activity_type.name == CHUNK_ACTIVITY and pending.heartbeat_details.payloads:
                key = DispatchKey(tail.part.workflow, read_chunk_activity(pending.activity_id))
                await self._take(key, pending.heartbeat_details.payloads[0], ChunkBeat)

    def _note_waiting(self, tail: LaneTail, since: int | None) -> None:
        self._waiting.pop(tail.part.workflow, None)
        if since is not None and not tail.done.is_set():
            self._waiting[tail.part.workflow] = since


def find_waiting_task(described: WorkflowExecutionDescription) -> int | None:
    """Return since when a decision of a workflow waits for any worker; None if none waits.

    In nanoseconds of the server's clock: one that a worker took and lost again counts from its beginning.
    """
    task = described.raw_description.pending_workflow_task
    waits = task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    return task.original_scheduled_time.ToNanoseconds() if waits else None


def _find_last_beat(failure: Failure) -> Sequence[Payload]:
    """Return the details of the last heartbeat of an activity that timed out; empty without one."""
    while not failure.HasField("timeout_failure_info") and failure.HasField("cause"):
        failure = failure.cause
    return failure.timeout_failure_info.last_heartbeat_details.payloads
