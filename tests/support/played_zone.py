"""A zone's worker on a virtual clock; simulated gateways and a played Temporal server stand beside it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import anyio
from temporalio.activity import _CompleteAsyncError
from temporalio.client import AsyncActivityCancelledError, Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment
from yarl import URL

from orchestrator.api import load_plan
from orchestrator.distributed.chunk_activity import ChunkWorker
from orchestrator.distributed.kept_session import SessionStore
from orchestrator.distributed.payloads import (
    ChunkBeat,
    ChunkEnd,
    ChunkOrder,
    ChunkPlace,
    JournalPages,
    LaneCarry,
    Orders,
    StopState,
)
from orchestrator.distributed.remote_rows import replay_rows
from orchestrator.errors import CredentialError
from orchestrator.journal.database import open_database
from orchestrator.journal.transfer import NamedRow, decode_segment
from orchestrator.lanes.environment import Environment
from orchestrator.model.credentials import Material, Secret
from orchestrator.model.events import AnyEvent, Listener
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.model.plan import RunId
from orchestrator.model.reading import Act
from orchestrator.simulator.apinizer_fixture import ApinizerFixture
from orchestrator.simulator.exchange import Delivery, DeliveryManner
from orchestrator.simulator.faults import FaultScenario, InjectedFault
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.platforms import SimulatedPlatforms
from orchestrator.simulator.roma_fixture import RomaFixture
from tests.simulation.clock import VirtualLoop, play
from tests.support.engine import EPOCH
from tests.support.simulated import INSTANCE, PROJECT

PAGES = JournalPages(workflow="undeploy/20261129-040000000-x/1", pages=1, size=1, digest="d")
LEASE = 10.0

GATEWAYS = {
    "roma": (
        f"kind: roma, url: https://roma.example, project_id: {PROJECT}, instance_id: {INSTANCE},"
        " auth: {token: {env: T}}"
    ),
    "apim": "kind: apinizer, url: https://apim.example, auth: {token: {env: T}}",
}


def name_target(gateway: str, number: int) -> str:
    """Return the id of a target of ``PlayedZone``."""
    return f"roma/api{number}" if gateway == "roma" else f"apim/P/p{number}/e"


def _name_part(gateway: str, number: int) -> str:
    return f"api{number}" if gateway == "roma" else f"p{number}"


def write_plan(folder: Path, counts: dict[str, int], keys: str, top: str, after: str) -> Path:
    """Write a plan with so many targets of each gateway; ``keys`` are further ones of each gateway."""
    roma, apim = ([_name_part(name, number) for number in range(counts.get(name, 0))] for name in GATEWAYS)
    lines = ["version: 1", "name: far", top, "gateways:"]
    lines += [f"  {name}: {{{GATEWAYS[name]}{keys and ', '}{keys}}}" for name in counts]
    lines += ["targets:"]
    if roma:
        lines += [f"  - {{gateway: roma, ld_api_ids: [{', '.join(roma)}]}}"]
    for proxies, more in ((apim[:1], ""), (apim[1:], after and f", after: [{after}]")):
        if proxies:
            lines += [
                f"  - {{gateway: apim, project: P, environment: e, proxies: [{', '.join(proxies)}]{more}}}"
            ]
    path = folder / "plan.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


class PlayedServer:
    """What a chunk knows of Temporal: its heartbeats, its end, and the lane's workflow."""

    def __init__(self) -> None:
        self.beats: list[tuple[float, ChunkBeat]] = []
        """The heartbeats that were acknowledged, each with the virtual second."""
        self.ends: list[ChunkEnd] = []
        self.failures: list[ApplicationError] = []
        self.signals: list[tuple[str, Any]] = []
        self.orders = Orders()
        self.asked = 0
        """How often a chunk asked its lane for the orders."""
        self.is_called_back = False
        self.is_away = False
        self.is_another_workers = False
        """The chunk was handed out again."""
        self.on_beat: Callable[[ChunkBeat], None] = lambda _: None

    async def wait_for_end(self, count: int = 1) -> ChunkEnd:
        """Return the newest end once there are ``count`` more than before this is called."""
        wanted = len(self.ends) + count
        await wait_until(lambda: self.failures or len(self.ends) >= wanted)
        assert self.failures == []
        return self.ends[-1]

    # A client, the handle of an activity, and the handle of a workflow.

    def get_async_activity_handle(self, *, task_token: bytes) -> PlayedServer:
        return self

    def get_workflow_handle(self, workflow: str) -> PlayedServer:
        assert workflow == "lane"
        return self

    async def heartbeat(self, beat: ChunkBeat, *, rpc_timeout: timedelta) -> None:
        await self._travel()
        self.beats.append((anyio.current_time(), beat))
        self.on_beat(beat)
        if self.is_called_back:
            raise AsyncActivityCancelledError

    async def complete(self, end: ChunkEnd, *, rpc_timeout: timedelta) -> None:
        await self._travel()
        self.ends.append(end)

    async def fail(self, failure: ApplicationError, *, rpc_timeout: timedelta) -> None:
        await self._travel()
        self.failures.append(failure)

    async def signal(self, name: str, value: Any, *, rpc_timeout: timedelta) -> None:
        await self._travel()
        self.signals.append((name, value))

    async def query(self, name: str, *, result_type: type, rpc_timeout: timedelta) -> Orders:
        await self._travel()
        assert name == "orders"
        self.asked += 1
        return self.orders

    async def _travel(self) -> None:
        await anyio.sleep(0.001)
        if self.is_away:
            raise RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")
        if self.is_another_workers:
            raise RPCError("no such activity", RPCStatusCode.NOT_FOUND, b"")


class PlayedZone:
    """The gateways of a plan with simulators behind them, and workers that get chunks of its targets.

    ``seen`` are the requests about targets: the virtual second, the act and the target's id.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keys: str = "",
        top: str = "",
        after: str = "",
        latency: float = 0.02,
        ends: float = 5000.0,
        **counts: int,
    ) -> None:
        """``counts`` are targets by gateway; ``keys`` further keys of each gateway, ``top`` of the plan.

        ``after`` is the target for which those of apim but the first wait. ``ends``: seconds after which the
        play must be over.
        """
        self.folder = folder
        self.loop = VirtualLoop(ends=ends)
        self.seen: list[tuple[float, Act, str]] = []
        self.token: str | CredentialError = FAKE_TOKEN
        self.told: list[str] = []
        self.connected: list[str] = []
        """The gateways of the lanes that were opened."""
        self.together = 0
        """Requests under way at once, at most."""
        self.fetched = 0
        """How often a worker fetched the journal."""
        self.open = 0
        """Requests under way now."""
        self.events: list[AnyEvent] = []
        self.observe: Listener = lambda _: None
        fixtures = [_make_fixture(name, count, latency) for name, count in counts.items()]
        self.platforms = SimulatedPlatforms(SimulatorFixture(gateways=tuple(fixtures)), now=EPOCH)
        with load_plan(write_plan(folder, counts, keys, top, after)) as loaded:
            for name in ("journal.sqlite", "plan.yaml"):
                shutil.copy(loaded.place / name, folder / name)
        self.environment = Environment(
            now=lambda: EPOCH + self.loop.time(),
            monotonic=self.loop.time,
            roll=lambda: 0.5,
            connect=self._connect,
            credential=self._resolve,
        )
        self._stores = 0

    def play(self, main: Callable[[], Any]) -> None:
        """Run ``main`` on the virtual clock, to its end."""

        async def body() -> None:
            await main()

        play(self.loop, body())

    def expect(self, script: dict[str, Sequence[InjectedFault | str]], **fields: Any) -> None:
        """Have the gateways answer with faults, by target or gateway."""
        self.platforms.expect(FaultScenario(script=script, **fields))

    def make_order(self, gateway: str, count: int, first: int = 0, **fields: Any) -> ChunkOrder:
        """Return the order of a first dispatch of a chunk."""
        given: dict[str, Any] = {
            "run": RunId("20261129-040000000-x"),
            "session": 1,
            "journal": PAGES,
            "place": ChunkPlace(wave=0, step=0, gateway=gateway, first=first, count=count),
            "dispatch": 0,
            "act": "undeploy",
            "lane": "lane",
            "window": None,
            "stop": StopState(),
            "orders": Orders(),
            "carry": LaneCarry(),
            "first_run": True,
            "past_stop": False,
            "lease": LEASE,
        }
        return ChunkOrder(**given | fields)

    @asynccontextmanager
    async def worker(self, server: PlayedServer) -> AsyncIterator[ChunkWorker]:
        """Have a worker; the block ends once its chunks have."""
        self._stores += 1
        place = self.folder / f"worker-{self._stores}"
        place.mkdir()
        store = SessionStore(place, self.environment, self._fetch, f"w{self._stores}", self._hear)
        chunks = ChunkWorker(
            cast(Client, server), store, self.environment, f"w{self._stores}", self.told.append
        )
        try:
            async with chunks.hold():
                yield chunks
        finally:
            await store.close()

    async def work(self, order: ChunkOrder, server: PlayedServer | None = None) -> PlayedServer:
        """Have a new worker take one chunk to its end; return the server that heard of it."""
        server = server or PlayedServer()
        async with self.worker(server) as worker:
            await give(worker, order)
        return server

    def finish(self, order: ChunkOrder) -> ChunkEnd:
        """Have a new worker take one chunk to its end, on the clock that this starts; return its end."""
        ends: list[ChunkEnd] = []

        async def main() -> None:
            server = await self.work(order)
            assert server.failures == []
            ends.extend(server.ends)

        self.play(main)
        (end,) = ends
        return end

    def write_rows(self, rows: Sequence[NamedRow]) -> None:
        """Write rows into the journal with which the session begins."""
        with closing(open_database(self.folder / "journal.sqlite", write=True)) as database:
            replay_rows(database, rows)

    def sleep(self, seconds: float) -> None:
        """Have the clock jump, as it does for a process that was stopped."""
        self.loop.jump(seconds)

    def list_sent(self, act: Act = Act.UNDEPLOY) -> list[str]:
        """Return the targets of the requests of an act, in the order of arrival."""
        return [target for _, seen, target in self.seen if seen is act]

    def _hear(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.observe(event)

    async def _fetch(self, pages: JournalPages, folder: Path) -> None:
        self.fetched += 1
        for name in ("journal.sqlite", "plan.yaml"):
            shutil.copy(self.folder / name, folder / name)

    async def _resolve(self, gateway: Gateway) -> Material:
        if isinstance(self.token, CredentialError):
            raise self.token
        return Secret(self.token)

    @asynccontextmanager
    async def _connect(self, gateway: Gateway) -> AsyncIterator[Send]:
        self.connected.append(gateway.name)

        async def send(request: Request) -> Reply | Lost:
            with anyio.move_on_after(gateway.reply_timeout):
                return await self._exchange(gateway.name, request)
            return Lost(sent=True, detail="no whole reply in time")

        yield send

    async def _exchange(self, gateway: str, request: Request) -> Reply | Lost:
        path = URL(request.url, encoded=True).raw_path_qs
        delivery = self.platforms.handle(
            gateway, request.method, path, request.headers, request.body or b"", now=self.environment.now()
        )
        if delivery.call.row is not None and delivery.call.act is not None:
            self.seen.append((self.loop.time(), delivery.call.act, delivery.call.row.id))
        self.open += 1
        self.together = max(self.together, self.open)
        try:
            return await self._deliver(delivery)
        finally:
            self.open -= 1
            self.platforms.finish(gateway, delivery)

    async def _deliver(self, delivery: Delivery) -> Reply | Lost:
        await anyio.sleep(delivery.delay)
        match delivery.manner:
            case DeliveryManner.WHOLE if delivery.answer is not None:
                headers = {name.lower(): value for name, value in delivery.answer.headers.items()}
                return Reply(delivery.answer.status, headers, delivery.answer.body, self.environment.now())
            case DeliveryManner.HANG:
                await anyio.sleep_forever()
        return Lost(sent=True, detail="the connection broke")


def _make_fixture(gateway: str, count: int, latency: float) -> RomaFixture | ApinizerFixture:
    if gateway == "roma":
        return RomaFixture(
            name="roma",
            latency=latency,
            project_id=PROJECT,
            instance_id=INSTANCE,
            targets=tuple(f"api{number}" for number in range(count)),
        )
    targets = tuple(("P", f"p{number}", "e") for number in range(count))
    return ApinizerFixture(name="apim", latency=latency, targets=targets)


async def wait_until(condition: Callable[[], object]) -> None:
    """Return at the virtual millisecond in which a condition holds."""
    while not condition():  # noqa: ASYNC110 - the worker knows nothing of the test
        await anyio.sleep(0.001)


async def give(worker: ChunkWorker, order: ChunkOrder) -> None:
    """Hand a chunk to a worker, as Temporal does; it goes on in the background."""
    with suppress(_CompleteAsyncError):
        await ActivityEnvironment().run(worker.run_chunk, order)
        raise AssertionError("the worker must complete the chunk by itself")


def read_rows(segments: Sequence[bytes], *names: str) -> Iterator[NamedRow]:
    """Yield the rows with these names in segments of results."""
    for segment in segments:
        yield from (row for row in decode_segment(segment).rows if row.name in names)
