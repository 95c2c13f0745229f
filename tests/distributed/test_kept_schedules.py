"""Schedules at a Temporal server: what they start and when, how they are listed and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from msgspec.structs import replace
from temporalio.client import Client

from orchestrator.distributed.connection import connect
from orchestrator.distributed.kept_runs import find_kept_run, list_kept_runs, read_run_start
from orchestrator.distributed.kept_schedules import (
    KeptSchedule,
    ScheduleOrder,
    create_schedule,
    delete_schedule,
    list_kept_schedules,
    read_retention,
    refuse_known,
)
from orchestrator.distributed.names import (
    RUNS_QUEUE,
    name_journal_workflow,
    name_run_workflow,
    name_scheduled_run,
    name_scheduled_workflow,
)
from orchestrator.distributed.patience import ServerPatience
from orchestrator.distributed.payloads import JournalPages, RunInput
from orchestrator.distributed.start_times import StartTimes
from orchestrator.errors import RunError, UsageError
from orchestrator.model.plan import RunId, StopWhen, Window
from tests.support.temporal import TemporalServer

pytestmark = [pytest.mark.long("starts a server")]


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await connect(temporal.address)


def make_given(name: str, **more: object) -> RunInput:
    given = RunInput(
        run=RunId(name),
        session=1,
        plan=f"plan of {name}",
        act="undeploy",
        journal=JournalPages(workflow=name_scheduled_workflow(name), pages=21, size=1, digest=""),
        steps=(),
        gateways={},
        stop_when=StopWhen(),
        scheduled=True,
    )
    return replace(given, **more)


def make_order(at: datetime, name: str | None = None) -> ScheduleOrder:
    name = name or f"orders-{uuid4().hex[:8]}"
    window = Window(None, at + timedelta(hours=1))
    start = StartTimes(at=at, window=window, catch_up=timedelta(hours=1))
    return ScheduleOrder(name=name, start=start, given=make_given(name, window=window), starts="once")


def in_seconds(seconds: float) -> datetime:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


async def await_true(ask: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the server says so: what it lists is a moment old."""
    for _ in range(150):
        if await ask():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it never was")


async def start_run(client: Client, run: str, session: int, **more: object) -> str:
    """Start a run's workflow that no worker serves; return its id."""
    workflow = name_run_workflow(RunId(run), session)
    given = make_given(run, session=session, scheduled=False, **more)
    memo = {"plan": given.plan, "progress": "wave canary, 3 of 8 targets ended"}
    await client.start_workflow("UndeployRun", given, id=workflow, task_queue=RUNS_QUEUE, memo=memo)
    return workflow


async def test_a_single_start_begins_the_run_that_its_time_names(client: Client) -> None:
    order = make_order(in_seconds(3))
    at = order.start.at
    assert at is not None

    assert await create_schedule(client, order) == (at,)

    run = name_scheduled_run(order.name, at)

    async def has_begun() -> bool:
        try:
            await find_kept_run(client, run)
        except RunError:
            return False
        return True

    await await_true(has_begun)
    found = await find_kept_run(client, run)
    assert (found.id, found.session, found.state, found.plan) == (run, 1, "open", order.given.plan)
    # What only the start could tell is settled, by the workflow and by whoever attaches.
    assert (await read_run_start(client, found.workflow, ServerPatience())).given == replace(
        order.given, run=run
    )
    deleted = await delete_schedule(client, order.name)
    assert deleted.open_runs == (run,)


async def test_many_starts_are_those_of_the_cron_expression_in_its_zone(client: Client) -> None:
    name = f"nightly-{uuid4().hex[:8]}"
    start = StartTimes(
        cron="30 2 * * *", time_zone="Asia/Kolkata", open_for=3600.0, catch_up=timedelta(hours=1)
    )
    given = make_given(name, recurs=True, open_for=3600.0)

    following = await create_schedule(
        client, ScheduleOrder(name=name, start=start, given=given, starts="each night at 02:30")
    )

    assert {(at.hour, at.minute) for at in following} == {(21, 0)}
    assert len(following) == 3

    async def find() -> list[KeptSchedule]:
        return [one for one in await list_kept_schedules(client) if one.name == name]

    async def is_listed() -> bool:
        return bool(await find())

    await await_true(is_listed)
    (kept,) = await find()
    assert (kept.plan, kept.starts, kept.newest, kept.is_paused) == (
        given.plan, "each night at 02:30", None, False,
    )  # fmt: skip
    await delete_schedule(client, name)
    await refuse_known(client, name)


async def test_what_would_start_nothing_is_refused_and_gone(client: Client) -> None:
    late = make_order(in_seconds(-3600))
    with pytest.raises(UsageError, match="its time has passed"):
        await create_schedule(client, late)
    await refuse_known(client, late.name)


async def test_a_cron_expression_that_the_server_cannot_read_is_refused(client: Client) -> None:
    name = f"odd-{uuid4().hex[:8]}"
    start = StartTimes(cron="99 2 * * *", open_for=60.0, catch_up=timedelta(minutes=1))
    with pytest.raises(UsageError, match="refuses the schedule"):
        await create_schedule(
            client, ScheduleOrder(name=name, start=start, given=make_given(name), starts="")
        )


async def test_a_name_is_taken_once(client: Client) -> None:
    order = make_order(in_seconds(3600))
    await create_schedule(client, order)

    with pytest.raises(UsageError, match=f"there is a schedule {order.name} already"):
        await refuse_known(client, order.name)
    with pytest.raises(UsageError, match="already"):
        await create_schedule(client, order)
    assert (await delete_schedule(client, order.name)).open_runs == ()
    with pytest.raises(UsageError, match="there is no schedule"):
        await delete_schedule(client, order.name)


async def test_the_pages_are_let_go_with_their_schedule(client: Client) -> None:
    order = make_order(in_seconds(3600))
    await create_schedule(client, order)
    keepers = [name_journal_workflow(order.given.journal.workflow, number) for number in (0, 1)]
    for keeper in keepers:
        await client.start_workflow("UndeployJournal", id=keeper, task_queue=RUNS_QUEUE)

    await delete_schedule(client, order.name)

    for keeper in keepers:
        names = [
            event.workflow_execution_signaled_event_attributes.signal_name
            async for event in client.get_workflow_handle(keeper).fetch_history_events()
        ]
        assert "release" in names


async def test_the_server_tells_how_long_it_keeps_what_has_ended(client: Client) -> None:
    assert await read_retention(client) == timedelta(days=1)


async def test_a_run_is_found_by_its_id_its_beginning_and_its_plan(client: Client) -> None:
    stem = f"20261122-220000{uuid4().int % 1000:03}-{uuid4().hex[:8]}"
    for run, act in ((f"{stem}-a1", "undeploy"), (f"{stem}-b2", "restore")):
        await start_run(client, run, 1, plan=f"of {stem}", act=act)
    newest = await start_run(client, f"{stem}-a1", 2, plan=f"of {stem}")

    found = await find_kept_run(client, f"{stem}-a1")
    assert (found.workflow, found.session) == (newest, 2)

    async def are_listed() -> bool:
        return {f"{stem}-a1", f"{stem}-b2"} <= {one.id for one in await list_kept_runs(client) or ()}

    await await_true(are_listed)
    assert (await find_kept_run(client, f"{stem}-b")).id == f"{stem}-b2"
    # The plan's newest undeploy, although its restore is newer.
    assert (await find_kept_run(client, f"of {stem}")).id == f"{stem}-a1"
    assert (await find_kept_run(client, f"{stem}-a")).progress == "wave canary, 3 of 8 targets ended"
    with pytest.raises(RunError, match=rf"is the beginning of 2 runs.*\n    {stem}-b2\n    {stem}-a1"):
        await find_kept_run(client, f"{stem}-")
    with pytest.raises(RunError, match="there is no run"):
        await find_kept_run(client, "20991122-nothing")


async def test_a_run_that_has_ended_is_found_for_as_long_as_it_is_kept(client: Client) -> None:
    run = f"20261122-220000{uuid4().int % 1000:03}-{uuid4().hex[:8]}"
    workflow = await start_run(client, run, 1)
    await client.get_workflow_handle(workflow).terminate()

    found = await find_kept_run(client, run)

    assert found.state == "terminated"
    assert (await read_run_start(client, workflow, ServerPatience())).given.run == run
