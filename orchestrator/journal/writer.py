"""The one thread that writes: whatever was queued while the last commit ran goes into the next one.

No timer stands between an intent and its commit, so a busy run groups its commits by itself and an idle one
waits for nothing. A result that nobody waits for is committed with the next intent, or a moment later.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Protocol

from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.database import Database, Value
from orchestrator.journal.schema import TOGETHER

IDLE = 0.05
"""Seconds after which a result that no intent followed is committed on its own."""

Entry = tuple[str, tuple[Value, ...]]


class Writing(Protocol):
    """How a journal is written. The thread below is one way; a simulated disk is another."""

    def post(self, statement: str, values: tuple[Value, ...]) -> None: ...
    async def write(self, statement: str, values: tuple[Value, ...]) -> None: ...
    async def flush(self) -> None: ...
    async def close(self) -> None: ...


class Writer:
    """Writes from one thread, in the order of the calls. To be made and used on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._queued: list[Entry] = []
        self._waiting: list[tuple[Entry | None, asyncio.Future[None]]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def post(self, statement: str, values: tuple[Value, ...]) -> None:
        """Queue a row; it is on disk when a later ``write`` or ``flush`` returns."""
        with self._lock:
            self._queued.append((statement, values))

    async def write(self, statement: str, values: tuple[Value, ...]) -> None:
        """Return once this row, and all that was queued before, is on disk.

        Raises DiskError where that failed; then this row is not in the journal and will not be, while rows
        that were posted are kept for a later commit.
        """
        await self._durable((statement, values))

    async def flush(self) -> None:
        """Return once all that was queued is on disk. Raises DiskError where that failed."""
        await self._durable(None)

    async def _durable(self, entry: Entry | None) -> None:
        future = self._loop.create_future()
        with self._lock:
            if self._closing:
                raise JournalError(f"{self._database.path}: the journal is closed")
            self._waiting.append((entry, future))
        self._wake.set()
        await future

    async def close(self) -> None:
        """Commit what is queued, if that is possible, and end the thread."""
        self._closing = True
        self._wake.set()
        await asyncio.shield(asyncio.to_thread(self._thread.join))
        self._database.close()

    def _work(self) -> None:
        while True:
            self._wake.wait(IDLE)
            self._wake.clear()
            closing = self._closing
            with self._lock:
                posted, self._queued = self._queued, []
                waiting, self._waiting = self._waiting, []
            if posted or waiting:
                self._commit(posted, waiting)
            if closing:
                return

    def _commit(self, posted: list[Entry], waiting: list[tuple[Entry | None, asyncio.Future[None]]]) -> None:
        error: JournalError | None = None
        try:
            with self._database.transaction():
                for statement, rows in _grouped([*posted, *(entry for entry, _ in waiting if entry)]):
                    self._database.run_many(statement, rows)
        except JournalError as caught:
            error = caught if isinstance(caught, DiskError) else DiskError(str(caught))
            with self._lock:
                self._queued[:0] = posted
        if waiting:
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in waiting], error)


def _grouped(entries: list[Entry]) -> Iterator[tuple[str, list[tuple[Value, ...]]]]:
    """Yield the rows of each statement together, which is far cheaper than one by one.

    Rows of results and of outcomes touch different tables, so their order does not matter to one another;
    any other statement (a note, what is left at the end) comes after all that was queued before it.
    """
    rows: dict[str, list[tuple[Value, ...]]] = {}
    for statement, values in entries:
        if statement in TOGETHER:
            rows.setdefault(statement, []).append(values)
        else:
            yield from rows.items()
            rows = {}
            yield statement, [values]
    yield from rows.items()


def _resolve(futures: list[asyncio.Future[None]], error: JournalError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
