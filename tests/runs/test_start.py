"""The beginning of a run, without a process and without a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from orchestrator.engine.control_commands import CommandHandler, ControlCommand, Operator, PauseRun
from orchestrator.engine.options import RunOptions
from orchestrator.engine.request import RunRequest
from orchestrator.engine.signals import NoSignals
from orchestrator.engine.storage import Storage
from orchestrator.errors import DiskError, ExitStatus, UsageError
from orchestrator.journal.database import Database
from orchestrator.journal.meta import RunMeta
from orchestrator.journal.writer import GroupCommitWriter
from orchestrator.model.credentials import Secret
from orchestrator.model.events import AnyEvent, RunEnded, RunStarted
from orchestrator.model.gateway import Gateway
from orchestrator.runs.load import load_plan
from orchestrator.runs.machine import make_real_environment
from orchestrator.runs.result import RunResult
from orchestrator.runs.start import RunDraft, start_run

PLAN = """\
version: 1
name: full
gateways:
  apim: {kind: apinizer, url: "https://apim.example.com", auth: {token: {env: TOKEN}}}
targets:
  - {gateway: apim, project: Retail, proxies: [a, b, c], environment: test}
"""


class FullDisk:
    """Writes no row of a journal: the disk is full from the first one on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def post(self, *_: Any) -> None:
        return

    async def write(self, *_: Any) -> None:
        raise DiskError("no space left on device")

    async def flush(self) -> None:
        raise DiskError("no space left on device")

    async def close(self) -> None:
        self._database.close()


PROTECTED = f'{PLAN}protect: ["apim/**"]\n'
"""A run of it comes to its end without a request."""


async def run_plan(folder: Path, text: str, *, meta: RunMeta | None = None, **request: Any) -> RunResult:
    """Start a run of a plan in ``folder``; ``meta`` is kept in its journal."""
    plan = folder / "plan.yaml"
    plan.write_text(text)
    asked = RunRequest(options=RunOptions(state=folder / "state"), **request)
    with load_plan(plan) as loaded:
        if meta is not None:
            loaded.draft.keep(meta)
        here = replace(make_real_environment(loaded.folder), credential=_resolve)
        return await start_run(RunDraft(loaded.plan, loaded.draft, loaded.place), asked, here)


async def _resolve(_: Gateway) -> Secret:
    return Secret("the-token")


@pytest.mark.promise(1)
async def test_a_run_whose_disk_is_full_from_the_first_row_on_tells_of_all_its_targets(
    tmp_path: Path,
) -> None:
    events = list[AnyEvent]()

    storage = Storage(start_writer=FullDisk)
    result = await run_plan(tmp_path, PLAN, listeners=(events.append,), storage=storage)

    assert result.exit_status is ExitStatus.STOPPED
    (started,) = (event for event in events if isinstance(event, RunStarted))
    (ended,) = (event for event in events if isinstance(event, RunEnded))
    assert started.targets == 3
    assert ended.state == "stopped"
    assert sum(started.left.values()) == 3


class LateSignals(NoSignals):
    """Sends signals once the run has told its end."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._told = anyio.Event()

    def hear(self, event: AnyEvent) -> None:
        if isinstance(event, RunEnded):
            self._told.set()

    async def receive(self) -> AsyncIterator[str]:
        await self._told.wait()
        for _ in range(self._count):
            yield "SIGINT"
            await anyio.sleep(0.01)
        await anyio.sleep_forever()


class SlowDisk(GroupCommitWriter):
    """Takes a while to write the last rows."""

    async def close(self) -> None:
        await anyio.sleep(0.1)
        await super().close()


class DeadDisk(GroupCommitWriter):
    """Never comes to an end with the last rows."""

    async def close(self) -> None:
        await anyio.sleep_forever()


async def test_a_signal_behind_the_end_of_a_run_is_followed_by_no_event(tmp_path: Path) -> None:
    events, late = list[AnyEvent](), LateSignals(1)

    result = await run_plan(
        tmp_path,
        PROTECTED,
        listeners=(events.append, late.hear),
        signals=late,
        storage=Storage(start_writer=SlowDisk),
    )

    assert isinstance(events[-1], RunEnded)
    assert (result.exit_status, events[-1].exit_status) == (0, 0)


@pytest.mark.promise(8)
async def test_two_signals_behind_the_end_of_a_run_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    events, late = list[AnyEvent](), LateSignals(2)

    with anyio.fail_after(5):
        await run_plan(
            tmp_path,
            PROTECTED,
            listeners=(events.append, late.hear),
            signals=late,
            storage=Storage(start_writer=DeadDisk),
        )

    assert isinstance(events[-1], RunEnded)


@asynccontextmanager
async def _socket_that_cannot_be_opened(handler: CommandHandler) -> AsyncIterator[None]:
    handler.warn_uncontrollable("no room")
    yield


@asynccontextmanager
async def _socket_with_a_command(handler: CommandHandler) -> AsyncIterator[None]:
    command: ControlCommand = PauseRun()
    await handler.execute(command, Operator(user="ada", origin="ops-1"))
    yield


@pytest.mark.parametrize("control_socket", [_socket_that_cannot_be_opened, _socket_with_a_command])
async def test_the_control_socket_tells_nothing_before_the_run_has_begun(
    tmp_path: Path, control_socket: Any
) -> None:
    events = list[AnyEvent]()

    await run_plan(tmp_path, PROTECTED, listeners=(events.append,), control_socket=lambda _: control_socket)

    assert isinstance(events[0], RunStarted)
    assert len(events) > 2


async def test_the_last_event_of_a_run_whose_approval_has_ended_has_the_status_of_its_command(
    tmp_path: Path,
) -> None:
    events = list[AnyEvent]()

    with pytest.raises(UsageError, match="the approval expired at"):
        await run_plan(tmp_path, PLAN, meta=RunMeta(approval_ends=1_000_000.0), listeners=(events.append,))

    assert isinstance(events[-1], RunEnded)
    assert (events[-1].state, events[-1].exit_status) == ("stopped", 2)
