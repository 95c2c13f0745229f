"""The workflow that has one worker of each zone look for a preview or a doctor, side by side.

It ends by itself. What the workers have seen stays in its history for as long as the server keeps that.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Literal

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from orchestrator.distributed.look_payloads import LookInput, LookOrder, LookOver, LookPage, LookTold, ZoneEnd
from orchestrator.distributed.names import ANSWER, LOOK_ACTIVITY, LOOK_WORKFLOW, name_zone_queue

LONGEST_LOOK = timedelta(days=1)
"""Temporal wants a bound. A look ends long before: each gateway's targets and silence are bounded."""

SILENT_AFTER = timedelta(seconds=15)
"""Without a heartbeat for so long a worker counts as lost."""

TRIES = 3
"""A look changes nothing, so another worker may begin it anew."""


@workflow.defn(name=LOOK_WORKFLOW)
class UndeployLook:
    """Hands each zone its part, and tells how each of them ended."""

    @workflow.run
    async def run(self, given: LookInput) -> LookOver:
        """Return how the look of each zone ended, in the order of the input."""
        ends = await asyncio.gather(*(_look(given, zone) for zone in given.zones))
        return LookOver(zones=tuple(ends))

    @workflow.signal(name=ANSWER)
    def take_answer(self, page: LookPage) -> None:
        """Keep a part of an answer: the history does."""


async def _look(given: LookInput, zone: str) -> ZoneEnd:
    order = LookOrder(
        journal=given.journal, zone=zone, ask=given.ask, guarded=given.guarded, hours=given.hours
    )
    try:
        told = await workflow.execute_activity(
            LOOK_ACTIVITY,
            order,
            result_type=LookTold,
            activity_id=zone,
            task_queue=name_zone_queue(zone),
            schedule_to_start_timeout=timedelta(seconds=given.wait),
            start_to_close_timeout=LONGEST_LOOK,
            heartbeat_timeout=SILENT_AFTER,
            retry_policy=RetryPolicy(maximum_attempts=TRIES, maximum_interval=timedelta(seconds=5)),
            summary=f"{given.ask} of zone {zone}",
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        return _describe_failure(zone, error.cause or error)
    return ZoneEnd(zone=zone, told=told)


def _describe_failure(zone: str, cause: BaseException) -> ZoneEnd:
    match cause:
        case ActivityTimeoutError(type=TimeoutType.SCHEDULE_TO_START):
            return ZoneEnd(zone=zone, fault="silent")
        case ApplicationError(type=("credential" | "usage") as kind):
            return ZoneEnd(zone=zone, fault=_name_fault(kind), text=cause.message)
        case ApplicationError():
            return ZoneEnd(zone=zone, fault="trouble", text=cause.message)
        case _:
            return ZoneEnd(zone=zone, fault="lost")


def _name_fault(kind: str) -> Literal["credential", "usage"]:
    return "credential" if kind == "credential" else "usage"
