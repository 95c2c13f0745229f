"""Record the histories that the tests replay: python -m tests.distributed.recording.

A run that is under way meets the newer program, whose workflow code must decide as the older one did. So old
recordings stay: record anew only beside them, under the name of the change.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from orchestrator.distributed.connection import connect
from orchestrator.distributed.look_answers import pack_answer
from orchestrator.distributed.look_payloads import LookInput, LookOrder, LookOver, LookTold
from orchestrator.distributed.names import (
    ANSWER,
    LOOK_ACTIVITY,
    LOOK_WORKFLOW,
    RUNS_QUEUE,
    name_look_workflow,
    name_zone_queue,
)
from orchestrator.distributed.payloads import ChunkEnd, ChunkOrder, JournalPages, LevelWork, StopOrder
from orchestrator.distributed.run_news import LanePartBegun
from orchestrator.model.outcome import Outcome
from tests.support.conducted import count, make_end, make_input, make_step
from tests.support.fake_zone import Engine, EngineRun, rename, wait_until, work_until_called_back
from tests.support.temporal import run_temporal

FOLDER = Path(__file__).parent / "histories"


def clean(value: Any) -> Any:
    """Return a part of a history without what names this machine and its files."""
    if isinstance(value, dict):
        return {key: clean(each) for key, each in value.items() if key not in ("identity", "stackTrace")}
    if isinstance(value, list):
        return [clean(each) for each in value]
    return value.replace(socket.gethostname(), "worker") if isinstance(value, str) else value


def write_lines(workflow: str, events: Sequence[Any]) -> str:
    """Return a history as JSON, with a line for each event."""
    lines = ",\n".join(json.dumps(event) for event in events)
    return f'{{"id": {json.dumps(workflow)}, "events": [\n{lines}\n]}}\n'


async def keep(engine: Engine, run: EngineRun, name: str, folder: Path) -> None:
    """Write the histories of a run and of its lanes."""
    news = await run.wait_until_over()
    await run.acknowledge()
    workflows = {"run": run.workflow}
    begun = [item.workflow for item in news if isinstance(item, LanePartBegun)]
    workflows |= {f"lane-{number}": workflow for number, workflow in enumerate(begun)}
    for part, workflow in workflows.items():
        history = await engine.client.get_workflow_handle(workflow).fetch_history()
        events = [clean(event) for event in history.to_json_dict()["events"]]
        (folder / f"{name}.{part}.json").write_text(write_lines(workflow, events), encoding="utf-8")


async def record_waves(engine: Engine, folder: Path) -> None:
    """Record two waves, levels, a pause, and a zone whose worker comes late."""
    levels = (LevelWork(level=0, targets={"a": 250}), LevelWork(level=1, targets={"b": 10}))
    steps = (make_step(0, levels=levels, pause_after=0.2), make_step(1, targets={"a": 5, "b": 5}))
    given = rename(make_input(*steps, zones={"a": "x", "b": "y"}))
    run = await engine.start(given)
    await asyncio.sleep(6)
    for gateway in ("a", "b"):
        await engine.start_zone(given.gateways[gateway].zone)
    await keep(engine, run, "waves", folder)


async def record_orders(engine: Engine, folder: Path) -> None:
    """Record a pause in mid-chunk, its end, and a stop."""
    given = rename(make_input(make_step(), make_step(1), lease=1.0))
    zone = await engine.start_zone(given.gateways["apim"].zone, work_until_called_back)
    run = await engine.start(given)
    await wait_until(lambda: zone.orders)
    await run.order(paused=True)
    await wait_until(lambda: zone.seen)
    await run.order(paused=False)
    await wait_until(lambda: len(zone.orders) == 2)
    await run.order(stop=StopOrder(kind="control", text="stop, by Ada"))
    await keep(engine, run, "orders", folder)


async def record_stop_rule(engine: Engine, folder: Path) -> None:
    """Record a stop rule that fires in one lane and calls the other one back."""

    async def fail(order: ChunkOrder) -> ChunkEnd:
        return make_end(order, count(150), count(50, Outcome.FAILED, "refused"), broken=(3,))

    given = rename(make_input(make_step(targets={"a": 600, "b": 600}), zones={"a": "x", "b": "y"}, lease=1.0))
    await engine.start_zone(given.gateways["a"].zone, fail)
    await engine.start_zone(given.gateways["b"].zone, work_until_called_back)
    await keep(engine, await engine.start(given), "stop-rule", folder)


async def record_lost_worker(engine: Engine, folder: Path) -> None:
    """Record a chunk whose worker falls silent, a failure that is tried again, and a cancel of the run."""
    given = rename(make_input(make_step(targets={"apim": 500}), lease=0.5))
    zone = await engine.start_zone(given.gateways["apim"].zone)

    async def fall_silent(_order: ChunkOrder) -> ChunkEnd:
        zone.behave = work_until_called_back
        await asyncio.sleep(30)
        raise AssertionError

    zone.behave = fall_silent
    run = await engine.start(given)
    await wait_until(lambda: len(zone.orders) == 2)
    await run.handle.cancel()
    await keep(engine, run, "lost-worker", folder)


async def record_fast_lane(engine: Engine, folder: Path) -> None:
    """Record a lane whose chunks grow with its pace (``chunks-by-pace``)."""
    given = rename(make_input(make_step(targets={"apim": 2500})))
    await engine.start_zone(given.gateways["apim"].zone)
    await keep(engine, await engine.start(given), "fast-lane", folder)


async def record_look(engine: Engine, folder: Path) -> None:
    """Record a look in four zones: one answers, one lacks a credential, one breaks, one has no worker."""

    @activity.defn(name=LOOK_ACTIVITY)
    async def look(order: LookOrder) -> LookTold:
        if order.zone == "locked":
            raise ApplicationError("the token is empty", type="credential", non_retryable=True)
        if order.zone == "broken":
            raise ApplicationError("KeyError", type="trouble", non_retryable=True)
        told, pages = pack_answer(order.zone, ())
        for page in pages:
            await engine.client.get_workflow_handle(workflow).signal(ANSWER, page)
        return told

    workflow = name_look_workflow("recorded")
    journal = JournalPages(workflow=workflow, pages=1, size=1, digest="")
    zones = ("open", "locked", "broken", "silent")
    given = LookInput(journal=journal, zones=zones, ask="preview", guarded=True, hours=72, wait=2.0)
    async with AsyncExitStack() as stack:
        for zone in zones[:3]:
            worker = Worker(engine.client, task_queue=name_zone_queue(zone), activities=[look])
            await stack.enter_async_context(worker)
        handle = await engine.client.start_workflow(
            LOOK_WORKFLOW, given, id=workflow, task_queue=RUNS_QUEUE, result_type=LookOver
        )
        over = await handle.result()
    assert [end.fault for end in over.zones] == ["", "credential", "trouble", "silent"]
    events = [clean(event) for event in (await handle.fetch_history()).to_json_dict()["events"]]
    (folder / "look.json").write_text(write_lines(workflow, events), encoding="utf-8")


SCENES = (
    record_waves,
    record_orders,
    record_stop_rule,
    record_lost_worker,
    record_look,
    record_fast_lane,
)


async def record(folder: Path) -> None:
    """Record everything on a server that is started for that."""
    with run_temporal() as server:
        async with Engine(await connect(server.address)).serve() as engine:
            for scene in SCENES:
                await scene(engine, folder)


if __name__ == "__main__":
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    into.mkdir(exist_ok=True)
    asyncio.run(record(into))
