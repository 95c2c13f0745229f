"""The workflows of a run on a real server, with zones whose workers send nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError

from orchestrator.distributed import lane_workflow
from orchestrator.distributed.connection import connect
from orchestrator.distributed.lane_workflow import CHUNKS_BY_PACE
from orchestrator.distributed.names import RUNS_QUEUE, name_journal_workflow
from orchestrator.distributed.payloads import ChunkBeat, ChunkEnd, ChunkOrder, LevelWork, Orders, StopOrder
from orchestrator.distributed.run_news import (
    LanePartBegun,
    LanePartOver,
    NewsItem,
    RunOver,
    RunStopped,
    StepBegun,
    WaitBegun,
    WaitOver,
    ZoneAnswers,
    ZoneSilent,
)
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import Window
from tests.distributed.test_replay import make_replayer
from tests.support.conducted import count, make_end, make_input, make_step
from tests.support.fake_zone import (
    Engine,
    EngineRun,
    FakeZone,
    end_at_once,
    end_with_one_failed,
    rename,
    wait_until,
    work_until_called_back,
)
from tests.support.temporal import TemporalServer, run_temporal

pytestmark = pytest.mark.long("starts a server")

STOP = StopOrder(kind="control", text="stop, by Ada")


def begins(news: list[NewsItem]) -> list[str]:
    return [item.workflow for item in news if isinstance(item, LanePartBegun)]


def zone_of(run: EngineRun | Any, gateway: str = "apim") -> str:
    given = run.given if isinstance(run, EngineRun) else run
    return given.gateways[gateway].zone


async def start_both(
    engine: Engine, *steps: Any, behave: Any = end_at_once, **fields: Any
) -> tuple[FakeZone, EngineRun]:
    """Start a run and a worker of its one zone."""
    given = rename(make_input(*steps, **fields))
    zone = await engine.start_zone(next(iter(given.gateways.values())).zone, behave)
    return zone, await engine.start(given)


async def read_status(engine: Engine, workflow: str) -> WorkflowExecutionStatus | None:
    return (await engine.client.get_workflow_handle(workflow).describe()).status


async def test_two_zones_work_side_by_side_and_each_has_its_own_targets(engine: Engine) -> None:
    steps = (make_step(0, targets={"a": 450, "b": 20}, name="canary"), make_step(1, targets={"b": 250}))
    given = rename(make_input(*steps, zones={"a": "dmz", "b": "vpc"}, searchable=True))
    dmz, vpc = [await engine.start_zone(zone_of(given, name), end_with_one_failed) for name in ("a", "b")]
    run = await engine.start(given, memo={"plan": given.plan})
    news = await run.wait_until_over()

    assert [order.place.gateway for order in dmz.orders] == ["a"] * 3
    assert [(order.place.first, order.place.count) for order in dmz.orders] == [
        (0, 200),
        (200, 200),
        (400, 50),
    ]
    assert {order.place.gateway for order in vpc.orders} == {"b"}
    assert [(order.place.wave, order.place.count) for order in vpc.orders] == [(0, 20), (1, 200), (1, 50)]
    assert [item.index for item in news if isinstance(item, StepBegun)] == [0, 1]
    assert {(item.gateway, item.dispatches) for item in news if isinstance(item, LanePartOver)} == {
        ("a", 3),
        ("b", 1),
        ("b", 2),
    }
    memo = await (await run.handle.describe()).memo()
    assert memo["progress"] == "over, 720 of 720 targets ended"
    assert memo["plan"] == "orders-retirement"
    lane = await engine.client.get_workflow_handle(begins(news)[0]).describe()
    found = {pair.key.name: pair.value for pair in lane.typed_search_attributes}
    assert found.pop("TemporalChangeVersion") == [CHUNKS_BY_PACE]
    assert found | {"BuildIds": []} == {
        "UndeployPlan": "orders-retirement",
        "UndeployRun": given.run,
        "UndeployGateway": "a",
        "BuildIds": [],
    }
    assert await run.acknowledge() == "over, 720 of 720 targets ended"
    for workflow in begins(news):
        assert await read_status(engine, workflow) is WorkflowExecutionStatus.COMPLETED


async def test_a_journal_keeps_its_pages_until_the_run_releases_it(engine: Engine) -> None:
    given = rename(make_input(make_step()))
    await engine.start_zone(zone_of(given))
    name = name_journal_workflow(given.journal.workflow, 0)
    pages = [bytes([number]) * 1000 for number in range(3)]
    journal = await engine.client.start_workflow("UndeployJournal", pages[0], id=name, task_queue=RUNS_QUEUE)
    for page in pages[1:]:
        await journal.signal("page", page)
    run = await engine.start(given)
    await run.wait_until_over()

    found = []
    async for event in journal.fetch_history_events():
        started = event.workflow_execution_started_event_attributes.input.payloads
        signaled = event.workflow_execution_signaled_event_attributes.input.payloads
        found += [payload.data for payload in (*started, *signaled)]
    assert found == pages
    assert await read_status(engine, name) is WorkflowExecutionStatus.RUNNING
    await run.acknowledge()
    await journal.result()


async def test_a_stop_in_mid_chunk_brings_it_back_with_its_results_and_ends_the_run(engine: Engine) -> None:
    zone, run = await start_both(engine, make_step(), make_step(1), behave=work_until_called_back, lease=1.0)
    await wait_until(lambda: zone.orders)
    await run.order(stop=STOP)
    news = await run.wait_until_over()

    assert len(zone.orders) == 1
    assert zone.seen[0].stop == STOP
    assert [item for item in news if isinstance(item, RunStopped)] == [RunStopped(stop=STOP)]
    assert (await run.handle.describe()).status is WorkflowExecutionStatus.RUNNING
    assert await run.acknowledge() == "over, 10 of 800 targets ended"


async def test_a_pause_brings_a_chunk_back_and_its_end_hands_it_out_again(engine: Engine) -> None:
    zone, run = await start_both(engine, make_step(), behave=work_until_called_back, lease=1.0)
    await wait_until(lambda: zone.orders)
    await run.order(paused=True)
    await wait_until(lambda: zone.seen)
    await asyncio.sleep(0.3)
    assert len(zone.orders) == 1
    zone.behave = end_at_once
    await run.order(paused=False)
    await run.wait_until_over()

    assert [(order.place.first, order.dispatch, order.rows) for order in zone.orders] == [
        (0, 0, b""),
        (0, 1, b"left"),
        (200, 2, b""),
    ]


@pytest.mark.promise(10)
async def test_a_pause_ends_with_the_window_also_for_a_lane_that_begins_later(engine: Engine) -> None:
    given = make_input(
        make_step(targets={"a": 400, "b": 5}),
        zones={"a": "x", "b": "x"},
        one={"a": "same", "b": "same"},
        lease=1.0,
        window=Window(None, datetime.now(UTC) + timedelta(seconds=4)),
    )
    given = rename(given)
    zone = await engine.start_zone(zone_of(given, "a"), work_until_called_back)
    run = await engine.start(given)
    await wait_until(lambda: zone.orders)
    await run.order(paused=True)
    news = await run.wait_until_over()

    refusals = {item.gateway: item.refusal for item in news if isinstance(item, LanePartOver)}
    assert refusals == dict.fromkeys(("a", "b"), "window: it closed while the run was paused")
    assert len(zone.orders) == 1
    assert not any(isinstance(item, RunStopped) for item in news)
    lane = await engine.client.get_workflow_handle(zone.orders[0].lane).fetch_history()
    assert (await make_replayer().replay_workflow(lane)).replay_failure is None


async def test_limits_and_skips_reach_the_next_dispatch(engine: Engine) -> None:
    zone, run = await start_both(engine, make_step(), behave=work_until_called_back, lease=1.0)
    await wait_until(lambda: zone.orders)
    zone.behave = end_at_once
    await run.order(skips={"apim/**": "Ada"})
    await run.wait_until_over()

    assert zone.seen[0].skips == {"apim/**": "Ada"}
    assert zone.orders[1].orders.skips == {"apim/**": "Ada"}


async def test_a_stop_rule_over_two_lanes_stops_both(engine: Engine) -> None:
    given = rename(make_input(make_step(targets={"a": 600, "b": 600}), zones={"a": "x", "b": "y"}, lease=1.0))

    async def fail(order: ChunkOrder) -> ChunkEnd:
        return make_end(order, count(150), count(50, Outcome.FAILED, "refused"))

    failing = await engine.start_zone(zone_of(given, "a"), fail)
    working = await engine.start_zone(zone_of(given, "b"), work_until_called_back)
    run = await engine.start(given)
    news = await run.wait_until_over()

    (stopped,) = [item.stop for item in news if isinstance(item, RunStopped)]
    assert stopped == StopOrder(kind="stop_rule", text="failed: 50 of 200 (25%) in wave wave-0, limit 20%")
    assert len(failing.orders) == 1
    assert len(working.orders) == 1, (
        "the overshoot is what the other lane's chunk sends before the stop comes"
    )
    assert working.seen[0].stop == stopped
    (memo_orders,) = await engine.client.data_converter.decode(
        [(await run.handle.describe()).raw_description.workflow_execution_info.memo.fields["orders"]],
        [Orders],
    )
    assert memo_orders.stop == stopped


async def test_a_lost_worker_s_chunk_goes_to_another_with_all_that_was_told(engine: Engine) -> None:
    async def fall_silent(order: ChunkOrder) -> ChunkEnd:
        activity.heartbeat(ChunkBeat(segments=(b"intent 1", b"result 1"), worker="lost"))
        zone.behave = end_at_once
        await asyncio.sleep(30)
        raise AssertionError

    given = rename(make_input(make_step(targets={"apim": 200}), lease=0.5))
    zone = await engine.start_zone(zone_of(given))
    zone.behave = fall_silent
    run = await engine.start(given)
    news = await run.wait_until_over()

    assert [(order.dispatch, order.beats) for order in zone.orders] == [
        (0, ()),
        (1, (b"intent 1", b"result 1")),
    ]
    assert isinstance(news[-3], LanePartOver)
    assert news[-3].dispatches == 2
    lane = engine.client.get_workflow_handle(begins(news)[0])
    assert await read_lost(lane) == [b"intent 1", b"result 1"]


async def test_a_stop_after_which_the_worker_is_lost_loses_nothing_that_it_told(engine: Engine) -> None:
    """The history has the last heartbeat, though the chunk is never handed out again."""

    async def freeze(_order: ChunkOrder) -> ChunkEnd:
        activity.heartbeat(ChunkBeat(segments=(b"told",)))
        ends = asyncio.get_running_loop().time() + 2.0
        while asyncio.get_running_loop().time() < ends:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.2)
        raise AssertionError

    zone, run = await start_both(engine, make_step(), behave=freeze, lease=0.7)
    await wait_until(lambda: zone.orders)
    await run.order(stop=STOP)
    news = await run.wait_until_over()

    assert len(zone.orders) == 1
    assert await read_lost(engine.client.get_workflow_handle(begins(news)[0])) == [b"told"]


async def read_lost(lane: WorkflowHandle[Any, Any]) -> list[bytes]:
    """Return the segments that lost chunks had told, out of the history of a lane."""
    found: list[bytes] = []
    async for event in lane.fetch_history_events():
        if event.HasField("activity_task_timed_out_event_attributes"):
            failure = event.activity_task_timed_out_event_attributes.failure
            for payload in failure.timeout_failure_info.last_heartbeat_details.payloads:
                found += msgspec.json.decode(payload.data, type=ChunkBeat).segments
    return found


async def test_a_zone_without_a_worker_is_given_up_and_the_other_goes_on(engine: Engine) -> None:
    steps = (make_step(0, targets={"a": 5, "b": 5}), make_step(1, targets={"a": 5, "b": 5}))
    given = rename(make_input(*steps, zones={"a": "empty", "b": "full"}))
    given.gateways["a"] = msgspec.structs.replace(given.gateways["a"], park_for=7.0)
    zone = await engine.start_zone(zone_of(given, "b"))
    run = await engine.start(given)
    news = await run.wait_until_over()

    (silent,) = [item for item in news if isinstance(item, ZoneSilent)]
    assert (silent.gateway, silent.zone) == ("a", given.gateways["a"].zone)
    refusals = {item.gateway: item.refusal for item in news if isinstance(item, LanePartOver)}
    assert refusals == {"a": f"parked: no worker of zone {silent.zone} took its work for 7 s", "b": None}
    assert len(zone.orders) == 2
    assert zone.orders[1].undone[0].gateway == "a"


async def test_a_worker_that_comes_late_takes_the_work_and_people_are_told(engine: Engine) -> None:
    given = rename(make_input(make_step(targets={"apim": 5})))
    run = await engine.start(given)
    await run.wait_for(lambda news: any(isinstance(item, ZoneSilent) for item in news))
    await engine.start_zone(zone_of(given))
    news = await run.wait_until_over()

    assert ZoneAnswers(gateway="apim", zone=zone_of(given)) in news
    assert [item.refusal for item in news if isinstance(item, LanePartOver)] == [None]


async def test_a_stop_ends_a_chunk_that_no_worker_took(engine: Engine) -> None:
    run = await engine.start(rename(make_input(make_step())))
    await run.wait_for(lambda news: bool(begins(news)))
    await run.order(stop=STOP)
    news = await run.wait_until_over()

    assert [item.dispatches for item in news if isinstance(item, LanePartOver)] == [1]


async def test_the_window_and_the_pauses_are_timers_of_the_engine(engine: Engine) -> None:
    opens = datetime.now(UTC) + timedelta(seconds=1)
    steps = (make_step(0, targets={"apim": 5}, pause_after=0.5, asks=True), make_step(1, targets={"apim": 5}))
    zone, run = await start_both(engine, *steps, window=Window(opens, None))
    await run.wait_for(
        lambda news: any(isinstance(item, WaitBegun) and item.why == "proceed" for item in news)
    )
    assert len(zone.orders) == 1
    await run.order(proceed=2)
    news = await run.wait_until_over()

    waits = [item for item in news if isinstance(item, WaitBegun | WaitOver)]
    assert [getattr(item, "why", "over") for item in waits] == [
        "window",
        "over",
        "pause_after",
        "over",
        "proceed",
        "over",
    ]
    assert len(zone.orders) == 2


async def test_what_broke_is_known_to_the_levels_that_wait_for_it(engine: Engine) -> None:
    levels = (LevelWork(level=0, targets={"a": 200}), LevelWork(level=1, targets={"b": 10}))
    given = rename(make_input(make_step(levels=levels), zones={"a": "x", "b": "x"}))

    async def act(order: ChunkOrder) -> ChunkEnd:
        failed = () if order.place.level else (count(1, Outcome.FAILED, "refused"),)
        return make_end(
            order, count(order.place.count - len(failed)), *failed, broken=(42,) if failed else ()
        )

    zone = await engine.start_zone(zone_of(given, "a"), act)
    await (await engine.start(given)).wait_until_over()

    assert [(order.place.gateway, order.broken) for order in zone.orders] == [("a", ()), ("b", (42,))]


async def test_a_refused_credential_is_told_and_a_bug_stops_the_run(engine: Engine) -> None:
    cases = {
        "credential": RunOver(void="TOKEN is not set"),
        "bug": RunOver(bug="TOKEN is not set"),
    }
    for kind, over in cases.items():

        async def fail(_order: ChunkOrder, kind: str = kind) -> ChunkEnd:
            raise ApplicationError("TOKEN is not set", type=kind, non_retryable=True)

        _, run = await start_both(engine, make_step(), behave=fail)
        assert (await run.wait_until_over())[-1] == over


async def test_another_failure_of_a_worker_is_tried_again(engine: Engine) -> None:
    async def fail(_order: ChunkOrder) -> ChunkEnd:
        zone.behave = end_at_once
        raise ApplicationError("the pages cannot be fetched", ChunkBeat(segments=(b"told",)), type="later")

    given = rename(make_input(make_step(targets={"apim": 5})))
    zone = await engine.start_zone(zone_of(given))
    zone.behave = fail
    news = await (await engine.start(given)).wait_until_over()

    assert [order.beats for order in zone.orders] == [(), (b"told",)]
    assert news[-1] == RunOver()


async def test_a_cancel_in_temporal_stops_the_run_and_a_second_one_is_not_needed(engine: Engine) -> None:
    zone, run = await start_both(engine, make_step(), behave=work_until_called_back, lease=1.0)
    await wait_until(lambda: zone.orders)
    await run.handle.cancel()
    news = await run.wait_until_over()

    assert zone.seen[0].stop == StopOrder(kind="control", text="the run's workflow was cancelled in Temporal")
    assert isinstance(news[-1], RunOver)
    assert await run.acknowledge() == "over, 10 of 400 targets ended"


async def test_a_terminated_run_ends_its_lanes_after_their_present_chunks(engine: Engine) -> None:
    async def work_for_a_while(order: ChunkOrder) -> ChunkEnd:
        await asyncio.sleep(0.5)
        return make_end(order)

    zone, run = await start_both(engine, make_step(), behave=work_for_a_while)
    await wait_until(lambda: zone.orders)
    lane = engine.client.get_workflow_handle(begins(await run.read_news())[0])
    await run.handle.terminate("a test")

    over = await asyncio.wait_for(lane.result(), 20)
    assert over["refusal"] == "interrupt: the run's workflow is gone"
    assert len(zone.orders) == 1


async def test_a_terminated_lane_is_given_up_and_the_run_goes_on(engine: Engine) -> None:
    given = rename(make_input(make_step(targets={"a": 5, "b": 5}), zones={"a": "x", "b": "y"}, lease=1.0))
    stuck = await engine.start_zone(zone_of(given, "a"), work_until_called_back)
    await engine.start_zone(zone_of(given, "b"))
    run = await engine.start(given)
    await wait_until(lambda: stuck.orders)
    await engine.client.get_workflow_handle(stuck.orders[0].lane).terminate("a test")
    news = await run.wait_until_over()

    refusals = {item.gateway: item.refusal for item in news if isinstance(item, LanePartOver)}
    assert str(refusals["a"]).startswith("parked: its workflow has ended in Temporal")
    assert refusals["b"] is None


async def test_a_lane_that_a_driver_has_seen_end_is_given_up(engine: Engine) -> None:
    given = rename(make_input(make_step(targets={"a": 5, "b": 5}), zones={"a": "x", "b": "y"}, lease=1.0))
    stuck = await engine.start_zone(zone_of(given, "a"), work_until_called_back)
    await engine.start_zone(zone_of(given, "b"))
    run = await engine.start(given)
    await wait_until(lambda: stuck.orders)
    await run.handle.signal("lane_lost", stuck.orders[0].lane)
    news = await run.wait_until_over()

    refusals = {item.gateway: item.refusal for item in news if isinstance(item, LanePartOver)}
    assert refusals == {"a": "parked: its workflow has ended in Temporal", "b": None}


async def test_a_lane_whose_history_is_full_is_parked_before_the_server_ends_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_workflow, "MOST_EVENTS", 12)
    zone, run = await start_both(engine, make_step())
    (over,) = [item for item in await run.wait_until_over() if isinstance(item, LanePartOver)]

    assert over.refusal == "parked: its workflow has no room for further results; a resume goes on"
    assert len(zone.orders) == over.dispatches == 1, "what is begun is ended"
    assert await run.acknowledge() == "over, 200 of 400 targets ended"


async def test_the_results_wait_for_a_driver_and_a_part_is_released_alone(engine: Engine) -> None:
    zone, run = await start_both(engine, make_step(0, targets={"apim": 5}), make_step(1, targets={"apim": 5}))
    first, second = begins(await run.wait_until_over())
    assert len(zone.orders) == 2
    await run.handle.signal("part_taken", first)
    await engine.client.get_workflow_handle(first).result()
    assert await read_status(engine, second) is WorkflowExecutionStatus.RUNNING
    await run.acknowledge()
    await engine.client.get_workflow_handle(second).result()


async def test_a_long_run_continues_as_new_while_its_lanes_go_on() -> None:
    short = "limit.historyCount.suggestContinueAsNew=40"
    with run_temporal(settings=[short]) as server:
        async with Engine(await connect(server.address)).serve() as engine:
            steps = (make_step(0, targets={"a": 1500, "b": 1500}), make_step(1, targets={"a": 100}))
            given = rename(make_input(*steps, zones={"a": "x", "b": "y"}))
            zones = [
                await engine.start_zone(zone_of(given, name), end_with_one_failed) for name in ("a", "b")
            ]
            run = await engine.start(given, memo={"plan": given.plan})
            news = await run.wait_until_over()
            current = await run.handle.describe()

            assert current.run_id != current.raw_description.workflow_execution_info.first_run_id
            assert [len(zone.orders) for zone in zones] == [9, 8]
            assert [item.dispatches for item in news if isinstance(item, LanePartOver)] == [8, 8, 1]
            assert (await current.memo())["plan"] == given.plan
            assert await run.acknowledge() == "over, 3,100 of 3,100 targets ended"


async def test_workers_that_forget_each_workflow_at_once_come_to_the_same_end(
    temporal: TemporalServer,
) -> None:
    """Each decision is a replay then, as after the end of a worker."""
    async with Engine(await connect(temporal.address)).serve(max_cached_workflows=0) as engine:
        zone, run = await start_both(engine, make_step(), behave=work_until_called_back, lease=1.0)
        await wait_until(lambda: zone.orders)
        zone.behave = end_at_once
        await run.order(skips={"apim/x": "Ada"})
        await run.wait_until_over()

        assert [order.dispatch for order in zone.orders] == [0, 1, 2]
        assert await run.acknowledge() == "over, 410 of 400 targets ended"


async def test_a_recurring_run_ends_without_a_driver(engine: Engine) -> None:
    _, run = await start_both(engine, make_step(targets={"apim": 5}), scheduled=True, recurs=True)

    assert await asyncio.wait_for(run.handle.result(), 20) == "over, 5 of 5 targets ended"
