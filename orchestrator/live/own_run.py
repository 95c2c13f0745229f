"""The run of this process, as the page's thread has it: read directly, steered through its event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.display.progress import RunProgress
from orchestrator.display.status import read_status
from orchestrator.engine.control_commands import CommandHandler, ControlCommand, ControlSocket, Operator
from orchestrator.errors import RunError
from orchestrator.journal.folder import RunFolder
from orchestrator.live.state_feed import JsonObject
from orchestrator.model.live_status import LiveStatus
from orchestrator.runs.control_socket import LAST_WORDS, LIVE_PAGE, describe_origin
from orchestrator.system.users import find_user_name

ANSWER_PATIENCE = 10.0
"""Seconds that the run has for the answer to a command."""
MOST_SHARE = 0.04
"""The most of the run's time that reading its status may take: of a plan with many waves of many gateways, a
status takes long."""
STATUS_PATIENCE = 1.0
"""Seconds that the run's loop has to tell where the run stands."""
_ENDING = "the run does not answer: it is ending"


class OwnRun:
    """Satisfies ``RunLink``. The run's thread calls ``join`` and ``finish``, the page's thread all else."""

    def __init__(self) -> None:
        self.folder: RunFolder | None = None
        self.is_over = False
        self.shows_report = False
        self._handler: CommandHandler | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reports: str | None = None
        self._newest = read_status(RunProgress(), time.time())
        self._answering = set[asyncio.Task[Any]]()
        """The tasks of the run's loop that answer a command."""
        self._rests_until = 0.0
        """The monotonic time before which the newest status is new enough."""

    def join(self, open_socket: Callable[[Path], ControlSocket]) -> Callable[[Path], ControlSocket]:
        """Return ``open_socket`` so that the page takes commands for the run whenever the socket does."""

        def open_both(folder: Path) -> ControlSocket:
            self.folder = RunFolder(folder)

            def take(handler: CommandHandler) -> AbstractAsyncContextManager[None]:
                return self._take_commands(open_socket(folder), handler)

            return take

        return open_both

    @asynccontextmanager
    async def _take_commands(
        self, control_socket: ControlSocket, handler: CommandHandler
    ) -> AsyncIterator[None]:
        self._handler, self._loop = handler, asyncio.get_running_loop()
        try:
            async with control_socket(handler):
                yield
        finally:
            self._loop = None
            await self._finish_answers()

    async def _finish_answers(self) -> None:
        """Give the answers that are under way a moment: they read the journal, which is closed next."""
        try:
            if self._answering:
                await asyncio.wait(self._answering, timeout=LAST_WORDS)
        finally:
            for task in self._answering:
                task.cancel()

    def finish(self, reports: str | None) -> None:
        """Note that the run is over, and where its reports are; None if they were not written."""
        self._reports = reports
        self._rests_until = 0.0
        self.is_over = True

    async def read_status(self) -> JsonObject:
        """Return the state of the run; before the run has begun, of one that starts."""
        if time.monotonic() >= self._rests_until:
            self._newest = await self._read()
        found: JsonObject = msgspec.to_builtins(self._add_reports(self._newest))
        return found

    async def _read(self) -> LiveStatus:
        """Read between two events of the run; at once where the run's loop is gone, or busy for long."""
        handler = self._handler
        if handler is None:
            return read_status(RunProgress(), time.time())
        read = partial(self._read_sparingly, handler)
        if (loop := self._loop) is not None:
            answer = Future[LiveStatus]()
            with suppress(TimeoutError, RuntimeError):  # the loop has ended a moment ago
                loop.call_soon_threadsafe(_answer_with, answer, read)
                async with asyncio.timeout(STATUS_PATIENCE):
                    return await asyncio.wrap_future(answer)
        # The run writes its reports now, or does other long work, and tells no events meanwhile.
        return read()

    def _read_sparingly(self, handler: CommandHandler) -> LiveStatus:
        """Read, and see to it that the next read comes so late that the run loses little time to both."""
        began = time.thread_time()
        status = handler.read_status()
        self._rests_until = time.monotonic() + (time.thread_time() - began) / MOST_SHARE
        return status

    def _add_reports(self, status: LiveStatus) -> LiveStatus:
        if status.ended is None or self._reports is None:
            return status
        ended = msgspec.structs.replace(status.ended, reports=self._reports)
        return msgspec.structs.replace(status, ended=ended)

    async def preview(self, command: ControlCommand) -> str:
        """Return what a command would do. Raises UsageError if the run would refuse it."""
        return await self._ask(lambda handler: handler.preview(command))

    async def execute(self, command: ControlCommand, peer: str) -> str:
        """Carry out the command of a viewer at the address ``peer``. Raises UsageError if it is refused."""
        user = find_user_name(os.getuid()) or str(os.getuid())
        operator = Operator(user=user, origin=describe_origin(os.getpid(), LIVE_PAGE, peer))
        return await self._ask(lambda handler: handler.execute(command, operator))

    async def _ask(self, question: Callable[[CommandHandler], Coroutine[Any, Any, str]]) -> str:
        handler, loop = self._handler, self._loop
        if handler is None or loop is None:
            raise RunError("the run takes no commands: it is just starting, or it is ending")
        answer = asyncio.run_coroutine_threadsafe(self._answer(handler, question), loop)
        try:
            async with asyncio.timeout(ANSWER_PATIENCE):
                return await asyncio.wrap_future(answer)
        except (TimeoutError, RuntimeError):
            raise RunError(_ENDING) from None

    async def _answer(
        self, handler: CommandHandler, question: Callable[[CommandHandler], Coroutine[Any, Any, str]]
    ) -> str:
        """Answer in the run's loop, for as long as the run takes commands."""
        task = asyncio.current_task()
        if self._loop is None or task is None:
            raise RunError(_ENDING)
        self._answering.add(task)
        try:
            return await question(handler)
        except asyncio.CancelledError:
            raise RunError(_ENDING) from None
        finally:
            self._answering.discard(task)


def _answer_with(answer: Future[LiveStatus], read: Callable[[], LiveStatus]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(read())
    except Exception as bug:  # noqa: BLE001 - a bug of the page must not end the run
        answer.set_exception(bug)
