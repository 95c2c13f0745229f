"""A run on a real server, and zones whose workers send nothing: a test says what becomes of each chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

from msgspec.structs import replace
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from orchestrator.distributed.conversion import CONVERTER
from orchestrator.distributed.names import CHUNK_ACTIVITY, MEMO_NEWS, RUNS_QUEUE, TAKEN, name_zone_queue
from orchestrator.distributed.payloads import ChunkBeat, ChunkEnd, ChunkOrder, Orders, RunInput
from orchestrator.distributed.run_news import NewsItem, RunNews, RunOver
from orchestrator.distributed.workflows import RUNNER, WORKFLOWS
from orchestrator.model.outcome import Outcome
from orchestrator.model.plan import RunId
from tests.support.conducted import count, make_end

Behaviour = Callable[[ChunkOrder], Awaitable[ChunkEnd]]


async def end_at_once(order: ChunkOrder) -> ChunkEnd:
    """Undeploy all targets of the chunk."""
    return make_end(order)


async def end_with_one_failed(order: ChunkOrder) -> ChunkEnd:
    """Undeploy all targets of the chunk but one: the chunks of the lane stay small, however fast it is."""
    return make_end(order, count(order.place.count - 1), count(1, Outcome.FAILED, "refused"))


async def work_until_called_back(order: ChunkOrder) -> ChunkEnd:
    """Undeploy ten targets of the chunk, and the others never."""
    try:
        while True:
            activity.heartbeat(ChunkBeat(segments=(b"ten",)))
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        return make_end(order, count(10), left=order.place.count - 10)


class FakeZone:
    """Serves a zone's queue."""

    def __init__(self, client: Client, zone: str, behave: Behaviour = end_at_once) -> None:
        self.client = client
        self.zone = zone
        self.behave = behave
        """What becomes of the chunks from now on."""
        self.orders: list[ChunkOrder] = []
        """The chunks that the zone took."""
        self.seen: list[Orders] = []
        """The orders that a lane told when its chunk was called back."""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeZone]:
        @activity.defn(name=CHUNK_ACTIVITY)
        async def run_chunk(order: ChunkOrder) -> ChunkEnd:
            behave = self.behave
            self.orders.append(order)
            lane = self.client.get_workflow_handle(order.lane)
            await lane.signal(TAKEN, order.dispatch)
            end = await behave(order)
            if activity.is_cancelled():
                self.seen.append(await lane.query("orders", result_type=Orders))
            return end

        queue = name_zone_queue(self.zone)
        async with Worker(self.client, task_queue=queue, activities=[run_chunk]):
            yield self


class EngineRun:
    """One run on a server, as a driver sees it."""

    def __init__(self, client: Client, given: RunInput, handle: WorkflowHandle[Any, Any]) -> None:
        self.client = client
        self.given = given
        self.handle = handle
        self.orders = Orders()

    @property
    def workflow(self) -> str:
        return self.handle.id

    async def order(self, **fields: Any) -> None:
        self.orders = replace(self.orders, number=self.orders.number + 1, **fields)
        await self.handle.signal("orders", self.orders)

    async def read_news(self) -> list[NewsItem]:
        """Return all news so far, out of the histories: also of those that the workflow has continued."""
        first = (await self.client.get_workflow_handle(self.workflow).describe()).raw_description
        run: str | None = first.workflow_execution_info.first_run_id
        items: list[NewsItem] = []
        while run:
            following = None
            async for event in self.client.get_workflow_handle(
                self.workflow, run_id=run
            ).fetch_history_events():
                memo = event.workflow_properties_modified_event_attributes.upserted_memo.fields
                if MEMO_NEWS in memo:
                    (news,) = await CONVERTER.decode([memo[MEMO_NEWS]], [RunNews])
                    items += news.items
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                    following = (
                        event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
                    )
            run = following
        return items

    async def wait_for(self, found: Callable[[list[NewsItem]], bool]) -> list[NewsItem]:
        """Return the news once they are as a test wants."""
        async with asyncio.timeout(20):
            while not found(news := await self.read_news()):  # noqa: ASYNC110 -- another process tells it
                await asyncio.sleep(0.05)
            return news

    async def wait_until_over(self) -> list[NewsItem]:
        return await self.wait_for(lambda news: bool(news) and isinstance(news[-1], RunOver))

    async def acknowledge(self) -> str:
        """Have the run end. Returns its result."""
        await self.handle.signal("acknowledge")
        result: str = await self.handle.result()
        return result


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- another process brings it about
            await asyncio.sleep(0.02)


def rename(given: RunInput) -> RunInput:
    """Return the input of a run of its own, with zones that no other test serves."""
    name = uuid4().hex[:12]
    gateways = {key: replace(each, zone=f"{each.zone}-{name}") for key, each in given.gateways.items()}
    run = RunId(f"20261129-040000000-{name}")
    journal = replace(given.journal, workflow=f"undeploy/{run}/1")
    return replace(given, run=run, gateways=gateways, journal=journal)


class Engine:
    """A client of a server, with a worker for the workflows."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def serve(self, *, max_cached_workflows: int = 1000) -> AsyncIterator[Engine]:
        async with (
            Worker(
                self.client,
                task_queue=RUNS_QUEUE,
                workflows=WORKFLOWS,
                workflow_runner=RUNNER,
                max_cached_workflows=max_cached_workflows,
            ),
            self._stack,
        ):
            yield self

    async def start_zone(self, zone: str, behave: Behaviour = end_at_once) -> FakeZone:
        """Start a worker of a zone, which works until the test ends."""
        return await self._stack.enter_async_context(FakeZone(self.client, zone, behave).serve())

    async def start(self, given: RunInput, **fields: Any) -> EngineRun:
        """Start a run."""
        workflow = given.journal.workflow
        handle = await self.client.start_workflow(
            "UndeployRun", given, id=workflow, task_queue=RUNS_QUEUE, **fields
        )
        return EngineRun(self.client, given, handle)
