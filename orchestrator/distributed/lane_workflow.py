"""The workflow of one part of a lane: it hands out chunks, one at a time, to the workers of a zone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from orchestrator.distributed.lane_conduct import SILENT_AFTER, LaneConduct
from orchestrator.distributed.names import (
    CHUNK_ACTIVITY,
    LANE_WORKFLOW,
    name_chunk_activity,
    name_zone_queue,
)
from orchestrator.distributed.payloads import (
    ChunkBeat,
    ChunkEnd,
    ChunkOrder,
    GoOn,
    LaneInput,
    LaneOver,
    Orders,
)

LONGEST_CHUNK = timedelta(days=7)
"""Temporal wants a bound. A chunk ends long before: its targets, attempts and pauses are bounded."""

CHUNKS_BY_PACE = "chunks-by-pace"
"""The mark, in the histories of lanes, of a program that gives a fast lane larger chunks."""

PAUSE_ENDS_WITH_WINDOW = "pause-ends-with-window"
"""The mark, in the histories of paused lanes, of a program that ends them when their window closes."""

FULL_LANE_PARKS = "full-lane-parks"
"""The mark, in the histories of lanes that are full, of a program that parks them."""

LARGE_ORDERS_PARK = "large-orders-park"
"""The mark, in the histories of lanes whose next order is too large, of a program that parks them."""

MOST_EVENTS = 45_000
MOST_BYTES = 42_000_000
"""Of the history of a lane before another chunk is handed out; a chunk adds less than 5 MB.

A server ends a workflow at 51,200 events and at 50 MB, and the results of its present chunk would be lost.
"""


@workflow.defn(name=LANE_WORKFLOW)
class UndeployLane:
    """Hands out the chunks of a part, tells the run of each, and keeps the results until it is released."""

    @workflow.init
    def __init__(self, given: LaneInput) -> None:
        self._lane = LaneConduct(given, workflow.info().workflow_id)
        self._run_workflow = given.run_workflow
        self._chunk: workflow.ActivityHandle[ChunkEnd] | None = None
        self._answered = -1
        """The last dispatch that the run has judged."""
        self._is_released = False

    @workflow.run
    async def run(self, given: LaneInput) -> LaneOver:  # noqa: ARG002 -- __init__ has it
        """Hand out chunks until the part is over. Returns once the results are wanted no longer.

        A cancel lets a chunk that is under way land, and then ends the lane.
        """
        self._lane.follows_pace = workflow.patched(CHUNKS_BY_PACE)
        work = asyncio.create_task(self._work())
        while True:
            try:
                # Unlike asyncio.shield, it does not log how the work of a workflow ends that was cancelled.
                await asyncio.wait([work])
                return work.result()
            except asyncio.CancelledError:
                # Then the worker forgets the workflow, which another one goes on with: nobody cancelled it.
                if work.done():
                    raise
                self._lane.cancel("the lane's workflow was cancelled in Temporal")
                self._is_released = True
                self._call_back()

    @workflow.signal(name="orders")
    def take_orders(self, orders: Orders) -> None:
        """Obey what people want now; a chunk that is under way may have to come back for it."""
        if self._lane.take_orders(orders):
            self._call_back()

    @workflow.query(name="orders")
    def tell_orders(self) -> Orders:
        """Return the orders that hold: a chunk that is cancelled asks why."""
        return self._lane.orders

    @workflow.signal(name="go_on")
    def take_go_on(self, go_on: GoOn) -> None:
        """Go on after a report: the run has judged it."""
        self._lane.take_go_on(go_on)
        self._answered = max(self._answered, go_on.dispatch)

    @workflow.signal(name="taken")
    async def take_taken(self, dispatch: int) -> None:
        """Note that a worker has begun a chunk."""
        if (news := self._lane.take_taken(dispatch)) is not None:
            await self._tell("zone_answers", news)

    @workflow.signal
    def release(self) -> None:
        """End: the results are wanted no longer."""
        self._is_released = True

    async def _work(self) -> LaneOver:
        lane = self._lane
        while not lane.is_over:
            if self._is_full():
                lane.park_full()
            elif lane.is_order_too_large and workflow.patched(LARGE_ORDERS_PARK):
                lane.park_broken()
            elif lane.is_held:
                await self._hold()
            elif (seconds := lane.seconds_until_next) and not await self._rest(seconds):
                continue
            else:
                await self._hand_out()
        over = lane.describe_over()
        await self._tell("lane_over", over)
        await workflow.wait_condition(lambda: self._is_released)
        return over

    def _is_full(self) -> bool:
        """Return whether the history has no room for another chunk."""
        info = workflow.info()
        is_full = info.get_current_history_length() > MOST_EVENTS or (
            info.get_current_history_size() > MOST_BYTES
        )
        return is_full and workflow.patched(FULL_LANE_PARKS)

    async def _hold(self) -> None:
        """Wait until the pause is over; a lane whose window closes before is over, too."""
        lane = self._lane
        seconds = lane.find_seconds_until_close(workflow.time())
        if seconds is not None and not workflow.patched(PAUSE_ENDS_WITH_WINDOW):
            seconds = None
        try:
            await workflow.wait_condition(lambda: lane.is_over or not lane.is_held, timeout=seconds)
        except TimeoutError:
            lane.close_window()

    async def _rest(self, seconds: float) -> bool:
        """Wait. Returns whether a chunk may be handed out then."""
        lane = self._lane
        try:
            await workflow.wait_condition(lambda: lane.is_over or lane.is_held, timeout=seconds)
        except TimeoutError:
            return True
        return False

    async def _hand_out(self) -> None:
        """Hand a chunk out, wait for its result, and let the run judge that."""
        order = self._lane.make_order(workflow.time())
        self._chunk = self._start(order)
        silence = asyncio.create_task(self._watch_zone())
        try:
            end = await self._chunk
        except ActivityError as error:
            self._take_error(error)
            return
        finally:
            self._chunk = None
            silence.cancel()
        report = self._lane.take_end(end, workflow.time())
        if await self._tell("chunk_over", report):
            await workflow.wait_condition(lambda: self._answered >= report.dispatch or self._is_released)

    def _start(self, order: ChunkOrder) -> workflow.ActivityHandle[ChunkEnd]:
        place = order.place
        return workflow.start_activity(
            CHUNK_ACTIVITY,
            order,
            result_type=ChunkEnd,
            activity_id=name_chunk_activity(order.dispatch),
            task_queue=name_zone_queue(self._lane.given.zone),
            heartbeat_timeout=timedelta(seconds=order.lease),
            schedule_to_start_timeout=timedelta(seconds=self._lane.find_patience(workflow.time())),
            start_to_close_timeout=LONGEST_CHUNK,
            # The lane itself hands a lost chunk out again: between two attempts of Temporal's own, a cancel
            # would drop what the lost one had told.
            retry_policy=RetryPolicy(maximum_attempts=1),
            # A cancelled chunk lands what flies, and returns what it has.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"targets {place.first + 1:,} to {place.first + place.count:,} of {place.gateway}",
        )

    def _call_back(self) -> None:
        """Have the chunk that is under way land and return; nothing if there is none."""
        if self._chunk is not None and not self._chunk.done():
            self._chunk.cancel()

    async def _watch_zone(self) -> None:
        """Tell the run if no worker takes the chunk soon."""
        await asyncio.sleep(SILENT_AFTER)
        if (news := self._lane.notice_silence()) is not None:
            await self._tell("zone_silent", news)

    def _take_error(self, error: ActivityError) -> None:
        """Take an end of a chunk that is no result."""
        cause = error.cause
        if isinstance(cause, ActivityTimeoutError) and cause.type is TimeoutType.SCHEDULE_TO_START:
            self._lane.give_up_zone(workflow.time())
        elif isinstance(cause, ActivityTimeoutError):
            self._lane.take_lost(_read_beat(cause.last_heartbeat_details), "the worker was lost")
        elif isinstance(cause, ApplicationError):
            self._take_failure(cause)
        elif isinstance(cause, CancelledError):
            self._lane.take_untaken()
        else:
            self._lane.take_lost(None, str(cause))

    def _take_failure(self, failure: ApplicationError) -> None:
        beat = _read_beat(failure.details)
        match failure.type:
            case "bug":
                self._lane.take_bug(failure.message)
            case "credential":
                self._lane.take_no_credential(failure.message)
            case _:
                self._lane.take_lost(beat, failure.message)

    async def _tell(self, signal: str, value: Any) -> bool:
        """Signal the run's workflow. Returns whether there is one; without one the lane ends by itself."""
        try:
            await workflow.get_external_workflow_handle(self._run_workflow).signal(signal, value)
        except ApplicationError:
            self._lane.cancel("the run's workflow is gone")
            self._is_released = True
            self._call_back()
            return False
        return True


def _read_beat(details: Any) -> ChunkBeat | None:
    """Return the last heartbeat of a chunk out of the details of its failure; None if there was none.

    Details that are no worker's count as none: the server, or the library, may have words of its own there.
    """
    try:
        return msgspec.convert(details[0], ChunkBeat) if details else None
    except msgspec.ValidationError:
        return None
