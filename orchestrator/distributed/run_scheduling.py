"""Has a Temporal server keep a prepared run, and start it by a schedule."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
from msgspec import Struct
from msgspec.structs import replace
from temporalio.client import Client
from temporalio.service import RPCError

from orchestrator.distributed.bounds import LEASE, OPEN_TARGETS
from orchestrator.distributed.journal_pages import pack_journal
from orchestrator.distributed.kept_schedules import (
    ScheduleOrder,
    create_schedule,
    read_retention,
    refuse_known,
    withdraw_schedule,
)
from orchestrator.distributed.names import name_scheduled_journal, name_scheduled_run
from orchestrator.distributed.patience import ServerPatience, make_brief_patience
from orchestrator.distributed.payloads import JournalPages, Orders, RunInput
from orchestrator.distributed.run_start import has_search_attributes
from orchestrator.distributed.shipping import release_pages, ship_pages
from orchestrator.distributed.start_times import StartTimes
from orchestrator.distributed.work_plan import make_run_input
from orchestrator.errors import UsageError
from orchestrator.model.plan import RunId
from orchestrator.runs.later import LaterRun
from orchestrator.text.formats import format_moment, format_span

RELEASE_WITHIN = 5.0
"""Seconds for taking back what a schedule that was refused, or interrupted, has left at the server."""


class ScheduleRequest(Struct, frozen=True, kw_only=True):
    """A run that is to be scheduled."""

    name: str
    start: StartTimes
    later: LaterRun
    place: Path
    """The folder with its journal and its plan.yaml."""


class ScheduledRun(Struct, frozen=True, kw_only=True):
    """A schedule that was made."""

    name: str
    plan: str
    targets: int
    starts: str
    """When it starts, in words."""
    following: tuple[tuple[datetime, RunId], ...]
    """The next starts, each with the id of its run."""
    recurs: bool
    ends: datetime | None
    """When its approval expires."""
    zones: tuple[str, ...]
    retention: timedelta | None
    """How long the server keeps what has ended."""
    warnings: tuple[str, ...]


async def schedule_run(client: Client, request: ScheduleRequest, tell: Callable[[str], None]) -> ScheduledRun:
    """Make a schedule; nothing is left of it where that fails, unless the server is gone at that moment.

    ``tell`` gets a line while the server does not answer, and one where something may be left. Raises
    UsageError for a name that is taken, an approval that expires before, and whatever the server refuses.
    """
    ends = _find_end(request)
    await refuse_known(client, request.name)
    workflow = name_scheduled_journal(request.name, secrets.token_hex(4))
    packed = await anyio.to_thread.run_sync(pack_journal, request.place, workflow)
    patience, has_asked = make_brief_patience(tell), False
    try:
        await ship_pages(client, workflow, packed.pages, patience)
        order = ScheduleOrder(
            name=request.name,
            start=request.start,
            given=_make_input(request, packed.journal, searchable=await has_search_attributes(client)),
            ends=ends,
            starts=describe_starts(request.start),
        )
        has_asked = True
        following = await create_schedule(client, order)
    except BaseException:
        if not await _take_back(client, request.name, packed.journal) and has_asked:
            tell(_explain_left(request.name))
        raise
    return _describe_result(request, order, following, await read_retention(client))


async def _take_back(client: Client, name: str, journal: JournalPages) -> bool:
    """Have the server forget a schedule that failed, and its pages; return whether no schedule is left."""
    is_gone = False
    with anyio.move_on_after(RELEASE_WITHIN, shield=True), suppress(RPCError):
        # The schedule first: without its pages each of its runs would fail.
        await withdraw_schedule(client, name, journal.workflow)
        is_gone = True
        await release_pages(client, journal.workflow, journal.pages, ServerPatience())
    return is_gone


def _explain_left(name: str) -> str:
    return (
        f"warning: the server does not say whether it has made schedule {name}, which would start its runs"
        f" all the same: `undeploy schedule --list --on URL` tells, and --delete {name} takes it back"
    )


def _find_end(request: ScheduleRequest) -> datetime | None:
    """Return when the approval expires. Raises UsageError if that is before a single start."""
    expires, at = request.later.spec.expires, request.start.at
    if expires is None:
        return None
    ends = datetime.fromtimestamp(expires, UTC)
    if at is not None and at >= ends:
        raise UsageError(
            f"the approval expires at {format_moment(ends)}, before the run starts; nothing was scheduled"
        )
    return ends


def describe_starts(start: StartTimes) -> str:
    """Return in words when runs start, and until when they may send."""
    if start.cron is not None:
        return f"{start.cron} {start.time_zone}, for {format_span(start.open_for)} each"
    closes = None if start.window is None else start.window.closes
    return f"once at {format_moment(start.at)}, until {format_moment(closes)}"


def _make_input(request: ScheduleRequest, journal: JournalPages, *, searchable: bool) -> RunInput:
    given = make_run_input(
        request.later, journal, orders=Orders(), learned={}, searchable=searchable, lease=LEASE
    )
    return replace(
        given,
        scheduled=True,
        recurs=request.start.recurs,
        open_for=request.start.open_for,
        options=request.later.spec.options.encode(),
    )


def _describe_result(
    request: ScheduleRequest,
    order: ScheduleOrder,
    following: tuple[datetime, ...],
    retention: timedelta | None,
) -> ScheduledRun:
    later = request.later
    left = later.pending.count_left()
    zones = {gateway.name: gateway.zone for gateway in later.spec.plan.gateways}
    return ScheduledRun(
        name=request.name,
        plan=later.spec.plan.name,
        targets=sum(left.values()),
        starts=order.starts,
        following=tuple((at, name_scheduled_run(request.name, at)) for at in following),
        recurs=request.start.recurs,
        ends=order.ends,
        zones=tuple(sorted({zones[name] for _, name in left})),
        retention=retention,
        warnings=tuple(_list_warnings(later)),
    )


def _list_warnings(later: LaterRun) -> Iterator[str]:
    plan = later.spec.plan
    if sum(later.pending.count_left().values()) > OPEN_TARGETS:
        yield (
            f"the server holds the results of {OPEN_TARGETS:,} targets; for more of them the run waits until"
            " somebody attaches"
        )
    asking = [wave.name for wave in plan.waves if wave.proceed == "ask"]
    if asking:
        yield f"after wave {asking[0]} the run waits for a person, who must attach (proceed: ask)"
    if plan.notify:
        yield "the plan's notifications are sent by whoever attaches, and only then"
    if later.spec.protection is not None:
        for gateway, text in later.spec.protection.warnings:
            yield text if gateway is None else f"{gateway}: {text}"
