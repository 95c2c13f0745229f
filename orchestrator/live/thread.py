"""The live page of this process's own run, in a thread with an event loop of its own.

So the page answers while the run writes its reports, and a fault of the page is not one of the run.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from orchestrator.live.access import AccessGuard
from orchestrator.live.own_run import OwnRun
from orchestrator.live.server import serve_page
from orchestrator.system.threads import start_thread

LAST_LOOK = 2.0
"""Seconds in which the viewers get the last state, once the run is over."""
LAST_FETCH = 0.7
"""Seconds for the requests of the viewers after that, if there are any."""
_START_PATIENCE = 5.0
MOST_COMPLAINTS = 3
"""Warnings about the page; further faults are not told."""


class PageThread:
    """Serves the page of ``run`` from ``start`` to ``finish``; the process may end without either."""

    def __init__(
        self, listener: socket.socket, guard: AccessGuard, run: OwnRun, warn: Callable[[str], None]
    ) -> None:
        self._listener = listener
        self._guard = guard
        self._run = run
        self._warn = warn
        self._complaints = 0
        self._started = Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to answer. Raises RunError if the system gives this process no further thread."""
        # A daemon: no viewer keeps the process from its end.
        self._thread = start_thread(self._serve, "live page")
        self._started.wait(_START_PATIENCE)

    def finish(self, reports: str | None) -> None:
        """Give the viewers the last state, with the folder of the reports, and end within ``LAST_LOOK``.

        Only the first call counts.
        """
        if self._run.is_over:
            return
        self._run.finish(reports)
        if self._thread is None or self._loop is None or self._ended is None:
            return
        if self._thread.is_alive():
            with suppress(RuntimeError):  # the loop has ended a moment ago, by a fault
                self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(LAST_LOOK)

    def _serve(self) -> None:
        try:
            asyncio.run(self._serve_until_finished())
        except Exception as bug:  # noqa: BLE001 - the run goes on without its page
            self._complain(f"the live page has ended: {bug!r}")
        finally:
            self._started.set()

    async def _serve_until_finished(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        async with serve_page(self._listener, self._guard, self._run, self._complain) as state:
            self._started.set()
            await self._ended.wait()
            watched = state.viewers.count > 0
            await state.say_goodbye()
            # Each viewer may fetch the whole state once more.
            await asyncio.sleep(LAST_FETCH if watched else 0.0)

    def _complain(self, text: str) -> None:
        self._complaints += 1
        if self._complaints <= MOST_COMPLAINTS:
            self._warn(text)
