"""The schedules that a Temporal server keeps: how one is made, which there are, how one is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio
from msgspec import Struct
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from orchestrator.distributed.kept_runs import KeptRun, find_session
from orchestrator.distributed.names import (
    RUN_WORKFLOW,
    RUNS_QUEUE,
    name_schedule,
    name_scheduled_run,
    name_scheduled_workflow,
    read_scheduled_workflow,
)
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import RunInput
from orchestrator.distributed.server_words import clean_words
from orchestrator.distributed.shipping import release_pages
from orchestrator.distributed.showing import search_scheduled
from orchestrator.distributed.start_times import StartTimes
from orchestrator.errors import RunError, UsageError
from orchestrator.model.plan import RunId

LEAST_CATCH_UP = timedelta(seconds=10)
"""Temporal takes no shorter one."""

STARTS_SHOWN = 3
_MOMENT, _MOMENTS = 0.1, 30
"""Seconds between two looks for the first start of a new schedule, and how many there are."""


class ScheduleOrder(Struct, frozen=True, kw_only=True):
    """A schedule that is to be made."""

    name: str
    start: StartTimes
    given: RunInput
    """The input of each of its runs, in which the run's id is the schedule's name."""
    ends: datetime | None = None
    """When its approval expires: nothing starts from then on."""
    starts: str
    """When it starts, in words."""


class KeptSchedule(Struct, frozen=True, kw_only=True):
    """A schedule that the server keeps."""

    name: str
    plan: str
    starts: str
    """When it starts, in words; may be empty."""
    following: tuple[datetime, ...]
    """Its next starts."""
    newest: RunId | None
    """The run that it started last."""
    outcome: str = ""
    """How far that run is, or how it ended, in words; empty where the server has forgotten it."""
    is_paused: bool


class DeletedSchedule(Struct, frozen=True, kw_only=True):
    """A schedule that was taken back."""

    name: str
    open_runs: tuple[RunId, ...]
    """Runs of it that are at work, or whose results no driver has taken over."""


async def has_schedule(client: Client, name: str) -> bool:
    """Return whether there is a schedule of that name."""
    return await _describe(client, name) is not None


async def refuse_known(client: Client, name: str) -> None:
    """Raise UsageError if there is a schedule of that name already."""
    if await has_schedule(client, name):
        raise UsageError(_explain_known(name))


def _explain_known(name: str) -> str:
    return f"there is a schedule {name} already; --name gives another one, --delete {name} takes it back"


async def create_schedule(client: Client, order: ScheduleOrder) -> tuple[datetime, ...]:
    """Make a schedule, and return its next starts.

    Raises UsageError if the server refuses it, and if it would never start anything: then it is gone again.
    """
    try:
        handle = await client.create_schedule(
            name_schedule(order.name),
            build_schedule(order),
            memo={"plan": order.given.plan, "starts": order.starts},
        )
    except ScheduleAlreadyRunningError:
        raise UsageError(_explain_known(order.name)) from None
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        raise UsageError(f"the Temporal server refuses the schedule: {clean_words(error.message)}") from None
    following = await _await_first_start(client, order.name)
    if not following:
        await handle.delete()
        why = "its approval expires before its first start" if order.ends else "its time has passed meanwhile"
        raise UsageError(f"the schedule would start nothing: {why}; nothing was scheduled")
    return following


async def _await_first_start(client: Client, name: str) -> tuple[datetime, ...]:
    """Return the next starts; those of a start that is under way already count. Empty if there is none."""
    for _ in range(_MOMENTS):
        found = await _describe(client, name)
        if found is not None and (starts := found.info.next_action_times):
            return tuple(starts[:STARTS_SHOWN])
        if found is not None and found.info.recent_actions:
            return tuple(action.scheduled_at for action in found.info.recent_actions)
        await anyio.sleep(_MOMENT)
    return ()


def build_schedule(order: ScheduleOrder) -> Schedule:
    """Return the schedule as Temporal's client takes it."""
    start = order.start
    return Schedule(
        action=ScheduleActionStartWorkflow(
            RUN_WORKFLOW,
            order.given,
            id=name_scheduled_workflow(order.name),
            task_queue=RUNS_QUEUE,
            memo={"plan": order.given.plan},
            # The run is another one at each start: its workflow itself tells which.
            typed_search_attributes=search_scheduled(order.given),
            static_summary=f"Undeploy {order.given.plan}: a run of schedule {order.name}",
        ),
        spec=_build_spec(start, order.ends),
        policy=SchedulePolicy(
            # Two runs of one plan would meet at the same targets.
            overlap=ScheduleOverlapPolicy.SKIP,
            catchup_window=max(start.catch_up, LEAST_CATCH_UP),
        ),
        state=ScheduleState(
            note=order.starts, limited_actions=not start.recurs, remaining_actions=0 if start.recurs else 1
        ),
    )


def _build_spec(start: StartTimes, ends: datetime | None) -> ScheduleSpec:
    if start.cron is not None:
        return ScheduleSpec(cron_expressions=[start.cron], time_zone_name=start.time_zone, end_at=ends)
    if start.at is None:
        raise ValueError("a start is single or recurs")
    at = start.at.astimezone(UTC)
    calendar = ScheduleCalendarSpec(
        second=(ScheduleRange(at.second),),
        minute=(ScheduleRange(at.minute),),
        hour=(ScheduleRange(at.hour),),
        day_of_month=(ScheduleRange(at.day),),
        month=(ScheduleRange(at.month),),
        year=(ScheduleRange(at.year),),
    )
    return ScheduleSpec(calendars=[calendar], end_at=ends)


async def list_kept_schedules(client: Client) -> list[KeptSchedule]:
    """Return the schedules of runs that the server keeps, by name. Raises RunError if it lists none."""
    try:
        entries = [entry async for entry in await client.list_schedules()]
    except RPCError as error:
        if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise RunError(f"the Temporal server lists no schedules: {clean_words(error.message)}") from None
        raise
    ours = [entry for entry in entries if entry.id.startswith(name_schedule("")) and _starts_runs(entry)]
    return sorted([await _describe_entry(client, entry) for entry in ours], key=lambda one: one.name)


def _starts_runs(entry: ScheduleListDescription) -> bool:
    return entry.schedule is not None and getattr(entry.schedule.action, "workflow", "") == RUN_WORKFLOW


async def _describe_entry(client: Client, entry: ScheduleListDescription) -> KeptSchedule:
    memo, info = await entry.memo(), entry.info
    started = [] if info is None else [action.action for action in info.recent_actions]
    newest = next(reversed(_list_started(started)), None)
    return KeptSchedule(
        name=entry.id.removeprefix(name_schedule("")),
        plan=str(memo.get("plan", "")),
        starts=str(memo.get("starts", "")),
        following=() if info is None else tuple(info.next_action_times[:STARTS_SHOWN]),
        newest=None if newest is None else name_scheduled_run(*newest[1]),
        outcome="" if newest is None else describe_outcome(await find_session(client, newest[0])),
        is_paused=entry.schedule is not None and entry.schedule.state.paused,
    )


def describe_outcome(run: KeptRun | None) -> str:
    """Return how far a run is, or how it ended, and what stopped it; empty for None."""
    if run is None:
        return ""
    return "; ".join(filter(None, (run.progress or run.state, run.stopped_by)))


def _list_started(actions: Sequence[object]) -> list[tuple[str, tuple[str, datetime]]]:
    """Return the workflow of each run that a schedule started, with the schedule's name and the start."""
    ids = [one.workflow_id for one in actions if isinstance(one, ScheduleActionExecutionStartWorkflow)]
    return [(one, found) for one in ids if (found := read_scheduled_workflow(one))]


def _list_runs(actions: Sequence[object]) -> tuple[RunId, ...]:
    """Return the ids of the runs that a schedule started."""
    return tuple(name_scheduled_run(*found) for _, found in _list_started(actions))


async def delete_schedule(client: Client, name: str) -> DeletedSchedule:
    """Take a schedule back: nothing starts any more. A run that goes on is left alone.

    Raises UsageError if there is none of that name.
    """
    found = await _describe(client, name)
    if found is None:
        raise UsageError(f"there is no schedule {name}; `undeploy schedule --list --on URL` lists them")
    given = await _read_input(client, found)
    await client.get_schedule_handle(name_schedule(name)).delete()
    open_runs = _list_runs(found.info.running_actions)
    # A single run that has begun lets go of its pages by itself. The runs of others find them for as long as
    # the server keeps what has ended.
    if given is not None and (given.recurs or not open_runs):
        await release_pages(client, given.journal.workflow, given.journal.pages, ServerPatience())
    return DeletedSchedule(name=name, open_runs=open_runs)


async def withdraw_schedule(client: Client, name: str, journal: str) -> None:
    """Take back the schedule of that name whose runs begin with the pages at ``journal``, if it is there.

    The answer to the request for it may have been lost. One that somebody else made is left alone.
    """
    found = await _describe(client, name)
    given = None if found is None else await _read_input(client, found)
    if given is not None and given.journal.workflow == journal:
        await client.get_schedule_handle(name_schedule(name)).delete()


async def _describe(client: Client, name: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(name_schedule(name)).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _read_input(client: Client, found: ScheduleDescription) -> RunInput | None:
    action = found.schedule.action
    if not isinstance(action, ScheduleActionStartWorkflow) or not action.args:
        return None
    decoded = await client.data_converter.decode(action.args, [RunInput])
    given: RunInput = decoded[0]
    return given


async def read_retention(client: Client) -> timedelta | None:
    """Return how long the server keeps what has ended; None if it does not say."""
    try:
        found = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError:
        return None
    seconds = found.config.workflow_execution_retention_ttl.ToTimedelta().total_seconds()
    return timedelta(seconds=seconds) if seconds else None
