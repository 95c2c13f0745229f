"""The run of this process behind its page: two threads, two event loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread

import pytest

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.engine.control_commands import (
    CommandHandler,
    ControlCommand,
    ControlSocket,
    Operator,
    PauseRun,
)
from orchestrator.errors import RunError, UsageError
from orchestrator.live.address import PageAddress, bind
from orchestrator.live.own_run import OwnRun
from orchestrator.live.server import make_guard
from orchestrator.live.thread import LAST_LOOK, MOST_COMPLAINTS, PageThread
from orchestrator.model.events import RunEnded, RunStarted
from orchestrator.model.live_status import LiveStatus
from orchestrator.model.plan import RunId
from tests.support.live_page import ask, follow


class MadeUpHandler:
    """The handler of a run that has begun."""

    def __init__(self) -> None:
        self.progress = RunProgress()
        self.progress.observe(
            RunStarted(at=time.time(), run=RunId("r1"), plan="p", targets=3, left={"apim": 3}, resumed=False)
        )
        self.operators: list[Operator] = []
        self.threads: set[int] = set()

    def read_status(self) -> LiveStatus:
        return read_status(self.progress, time.time())

    async def preview(self, command: ControlCommand) -> str:
        raise UsageError(f"{command} is refused")

    async def execute(self, command: ControlCommand, operator: Operator) -> str:
        self.operators.append(operator)
        return f"did {command}"

    def warn_uncontrollable(self, text: str) -> None:
        raise AssertionError(text)


def open_nothing(_: Path) -> ControlSocket:
    """Make a control socket that nobody comes to."""

    @asynccontextmanager
    async def control_socket(_: CommandHandler) -> AsyncIterator[None]:
        yield

    return control_socket


async def test_before_the_run_begins_it_starts() -> None:
    own = OwnRun()
    status = await own.read_status()

    assert (status["verdict"]["state"], own.folder, own.is_over) == ("starting", None, False)
    with pytest.raises(RunError, match="just starting, or it is ending"):
        await own.execute(PauseRun(), "127.0.0.1")


async def test_the_run_is_read_and_steered_while_its_socket_is_open(tmp_path: Path) -> None:
    own, handler = OwnRun(), MadeUpHandler()
    async with own.join(open_nothing)(tmp_path / "r1")(handler):
        status = await own.read_status()
        done = await own.execute(PauseRun(), "10.0.0.9")
        with pytest.raises(UsageError, match="pause is refused"):
            await own.preview(PauseRun())
    after = await own.read_status()
    with pytest.raises(RunError, match="it is ending"):
        await own.execute(PauseRun(), "10.0.0.9")

    assert (status["run"]["id"], after["run"]["id"], done) == ("r1", "r1", "did pause")
    assert own.folder is not None
    assert own.folder.id == "r1"
    (operator,) = handler.operators
    assert operator.origin.endswith(", live page, from 10.0.0.9")


@pytest.mark.parametrize("takes", [0.05, 60.0])
async def test_an_answer_under_way_at_the_end_comes_within_a_moment_or_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: float
) -> None:
    """A skip reads the journal for a while, and the run closes it at its end."""
    own, handler = OwnRun(), MadeUpHandler()
    monkeypatch.setattr("orchestrator.live.own_run.LAST_WORDS", 0.3)
    reads, is_done = asyncio.Event(), False

    async def preview(_: ControlCommand) -> str:
        nonlocal is_done
        reads.set()
        try:
            await asyncio.sleep(takes)
        finally:
            is_done = True
        return "3 targets will be passed over"

    monkeypatch.setattr(handler, "preview", preview)
    async with own.join(open_nothing)(tmp_path)(handler):
        asked = asyncio.create_task(own.preview(PauseRun()))
        await reads.wait()
    if takes < 1:
        assert await asked == "3 targets will be passed over"
    else:
        with pytest.raises(RunError, match="it is ending"):
            await asked
    assert is_done


async def test_the_reports_are_told_once_the_run_is_over(tmp_path: Path) -> None:
    own, handler = OwnRun(), MadeUpHandler()
    async with own.join(open_nothing)(tmp_path)(handler):
        handler.progress.observe(RunEnded(at=time.time(), state="complete", exit_status=0))
        before = await own.read_status()
    own.finish("runs/r1")
    after = await own.read_status()

    assert (before["ended"]["reports"], after["ended"]["reports"]) == (None, "runs/r1")
    assert (own.is_over, own.shows_report) == (True, False)


async def test_a_run_whose_loop_is_busy_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.live.own_run.STATUS_PATIENCE", 0.2)
    own, handler = OwnRun(), MadeUpHandler()
    async with own.join(open_nothing)(tmp_path)(handler):
        read: list[dict[str, object]] = []
        thread = Thread(target=lambda: read.append(asyncio.run(own.read_status())))
        thread.start()
        thread.join(5)  # this loop does nothing meanwhile

    assert [status["run"]["id"] for status in read] == ["r1"]  # type: ignore[index]


async def test_a_status_that_takes_long_is_read_seldom(tmp_path: Path) -> None:
    own, handler = OwnRun(), MadeUpHandler()
    reads = 0

    def read_slowly() -> LiveStatus:
        nonlocal reads
        reads += 1
        began = time.thread_time()
        while time.thread_time() - began < 0.02:
            pass
        return read_status(handler.progress, time.time())

    handler.read_status = read_slowly  # type: ignore[method-assign]
    began = time.monotonic()
    async with own.join(open_nothing)(tmp_path)(handler):
        while time.monotonic() - began < 0.3:
            status = await own.read_status()
        handler.progress.observe(RunEnded(at=time.time(), state="complete", exit_status=0))
    own.finish("runs/r1")
    last = await own.read_status()

    assert reads == 2
    assert (status["run"]["id"], last["ended"]["reports"]) == ("r1", "runs/r1")


def start_page(own: OwnRun) -> tuple[PageThread, PageAddress, list[str]]:
    listener, address = bind(PageAddress("127.0.0.1", 0))
    warnings: list[str] = []
    page = PageThread(listener, make_guard(address), own, warnings.append)
    page.start()
    return page, address, warnings


async def test_viewers_get_the_last_state_before_the_page_goes(tmp_path: Path) -> None:
    own, handler = OwnRun(), MadeUpHandler()
    page, address, warnings = start_page(own)
    async with own.join(open_nothing)(tmp_path)(handler):
        seq = (await ask(address, "/state")).json["seq"]
        async with follow(address, seq) as events:
            handler.progress.observe(RunEnded(at=time.time(), state="stopped", exit_status=4))
            finishing = asyncio.create_task(asyncio.to_thread(page.finish, "runs/r1"))
            told = await events.read_all()
            last = (await ask(address, "/state")).json
            await finishing

    assert [name for name, _, _ in told if name != "beat"][-1] == "end"
    assert (last["verdict"]["state"], last["ended"]["reports"]) == ("stopped", "runs/r1")
    assert warnings == []
    with pytest.raises(OSError, match="Connect call failed"):
        await ask(address, "/state")


async def test_where_no_thread_can_be_had_the_page_is_refused_and_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    listener, address = bind(PageAddress("127.0.0.1", 0))
    warnings: list[str] = []
    page = PageThread(listener, make_guard(address), OwnRun(), warnings.append)
    monkeypatch.setattr(Thread, "start", fail)
    with listener, pytest.raises(RunError, match="no further thread"):
        page.start()
    page.finish(None)

    assert warnings == []


async def test_a_page_that_nobody_looks_at_keeps_no_process() -> None:
    page, _, warnings = start_page(OwnRun())
    began = time.monotonic()
    page.finish(None)

    assert time.monotonic() - began < LAST_LOOK / 2
    assert warnings == []


async def test_faults_of_the_page_are_warnings_and_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnRun()
    page, address, warnings = start_page(own)

    async def fail() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(own, "read_status", fail)
    statuses = [(await ask(address, "/state")).status for _ in range(MOST_COMPLAINTS + 5)]
    page.finish(None)

    assert set(statuses) == {500}
    assert len(warnings) == MOST_COMPLAINTS
    assert "ZeroDivisionError('a bug')" in warnings[0]
