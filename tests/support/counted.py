"""A whole run against the simulated platform in the same process, and what it took: counts, never seconds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from unittest import mock

import anyio
from msgspec.structs import replace
from yarl import URL

import orchestrator
from bench.plans import PlanGateway, PlanText
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.signals import NoSignals
from orchestrator.errors import ExitStatus
from orchestrator.journal.database import Database
from orchestrator.model.credentials import Secret
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted
from orchestrator.model.gateway import Gateway
from orchestrator.model.http import Lost, Reply, Request, Send
from orchestrator.runs.control_socket import open_control_socket
from orchestrator.runs.load import load_plan
from orchestrator.runs.machine import make_real_environment
from orchestrator.runs.start import RunDraft, start_run
from orchestrator.simulator.fixtures import SimulatorFixture
from orchestrator.simulator.gateway_fixture import FAKE_TOKEN
from orchestrator.simulator.platforms import SimulatedPlatforms
from tests.support.plans import load_plan as load_targets

PACKAGE = str(Path(orchestrator.__file__).parent)
ELSEWHERE = str(Path(PACKAGE) / "simulator")


class RunCosts(NamedTuple):
    """What a run took between its first and its last event."""

    requests: int
    lists: int
    """Requests for a page of a list, among them."""
    commits: int
    tasks: int
    calls: int
    """Calls of this program's own functions."""
    journal_bytes: int


class _Counter:
    """Counts while the session is at work."""

    def __init__(self) -> None:
        self.requests = self.lists = self.commits = self.tasks = self.calls = 0

    def hear(self, event: AnyEvent) -> None:
        if isinstance(event, RunStarted):
            self.requests = self.lists = self.commits = self.tasks = self.calls = 0
            sys.setprofile(self._count_call)
        elif isinstance(event, RunEnded):
            sys.setprofile(None)

    def _count_call(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        # A coroutine that goes on is an event, too; that it was called is told by where it stands.
        if event == "call" and name.startswith(PACKAGE) and not name.startswith(ELSEWHERE):
            self.calls += frame.f_lasti <= 4

    def make_task(
        self, loop: asyncio.AbstractEventLoop, body: Coroutine[Any, Any, Any], **options: Any
    ) -> Any:
        self.tasks += 1
        return asyncio.Task(body, loop=loop, **options)

    def commit(self, commit: Callable[[Database], None], database: Database) -> None:
        self.commits += 1
        commit(database)


def _connect_to(platforms: SimulatedPlatforms, counter: _Counter) -> Callable[[Gateway], Any]:
    @asynccontextmanager
    async def connect(gateway: Gateway) -> AsyncIterator[Send]:
        async def send(request: Request) -> Reply | Lost:
            path = URL(request.url, encoded=True).raw_path_qs
            counter.requests += 1
            counter.lists += "?" in path
            delivery = platforms.handle(
                gateway.name, request.method, path, request.headers, request.body or b"", now=1.0
            )
            await asyncio.sleep(0)
            platforms.finish(gateway.name, delivery)
            assert delivery.answer is not None
            headers = {name.lower(): value for name, value in delivery.answer.headers.items()}
            return Reply(delivery.answer.status, headers, delivery.answer.body, 1.0)

        yield send

    return connect


async def _resolve(_: Gateway) -> Secret:
    return Secret(FAKE_TOKEN)


def run_counted(
    folder: Path, targets: int, keys: str = "", *, chained: bool = False, top: str = "snapshot: off"
) -> RunCosts:
    """Run a plan of so many ROMA targets to its end; ``keys`` are further keys of the gateway."""
    keys = f"limits: {{concurrency: 50}}, {keys}"
    text = PlanText([PlanGateway("https://roma.example", keys)], targets, top, chained)
    path = text.write(folder / "plan.yaml")
    parsed, sink = load_targets(folder, path.read_text())
    counter = _Counter()
    platforms = SimulatedPlatforms(SimulatorFixture.from_plan(parsed.plan, sink.targets))
    request = RunRequest(
        options=RunOptions(state=folder / "state"),
        listeners=(counter.hear,),
        signals=NoSignals(),
        control_socket=open_control_socket,
    )

    async def main(source: RunDraft) -> tuple[ExitStatus, int]:
        asyncio.get_running_loop().set_task_factory(counter.make_task)
        here = replace(
            make_real_environment(folder), connect=_connect_to(platforms, counter), credential=_resolve
        )
        result = await start_run(source, request, here)
        return result.exit_status, (result.folder.path / "journal.sqlite").stat().st_size

    commit = Database.commit
    with (
        load_plan(path) as loaded,
        mock.patch.object(Database, "commit", lambda database: counter.commit(commit, database)),
    ):
        status, size = anyio.run(main, RunDraft(loaded.plan, loaded.draft, loaded.place))
    assert status == ExitStatus.DONE
    return RunCosts(counter.requests, counter.lists, counter.commits, counter.tasks, counter.calls, size)
