"""How rows become durable: whatever was queued while the last commit ran goes into the next one.

No timer stands between an intent and its commit. So a busy run groups its commits by itself, and an idle run
waits for nothing. A result, for which no caller waits, is committed with the next intent, or a moment later.

Only the commit, which waits for the disk, has a thread of its own. The rows are handed to SQLite on the event
loop: there they cost microseconds, while a second thread would fight the loop for the interpreter row by row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.database import Database, Value
from orchestrator.journal.ledger import BATCHED
from orchestrator.journal.record import IN_PARTS
from orchestrator.journal.schema import INSERT_INTENT
from orchestrator.system.threads import start_thread

IDLE = 0.05
"""Seconds after which a result is committed on its own, if no intent follows it."""

LAST_COMMIT = 0.5
"""Seconds that a running commit gets when the writing is cut off."""

RowEntry = tuple[str, tuple[Value, ...]]


Waiter = tuple[RowEntry | None, asyncio.Future[None]]


class _CommitBatch(NamedTuple):
    """One commit: rows that no caller waits for, and callers that wait, with or without a row."""

    posted: list[RowEntry]
    waiting: list[Waiter]


class RowSink(Protocol):
    """Takes the rows of a journal. ``GroupCommitWriter`` is one; a simulated disk is another."""

    def post(self, statement: str, values: tuple[Value, ...]) -> None: ...
    def write(self, statement: str, values: tuple[Value, ...]) -> Awaitable[None]: ...
    async def flush(self) -> None: ...
    async def close(self) -> None: ...


class GroupCommitWriter:
    """Writes rows in the order of the calls, for callers on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._queued: list[RowEntry] = []
        self._waiting: list[Waiter] = []
        self._under_way: _CommitBatch | None = None
        self._timer: asyncio.Handle | None = None
        self._closed = False
        self._orders: SimpleQueue[_CommitBatch | None] = SimpleQueue()
        self._thread = start_thread(self._commit_orders, "journal")

    def post(self, statement: str, values: tuple[Value, ...]) -> None:
        """Queue a row; it is on disk when a later ``write`` or ``flush`` returns."""
        self._queued.append((statement, values))
        if self._timer is None and self._under_way is None:
            self._timer = self._loop.call_later(IDLE, self._begin)

    def write(self, statement: str, values: tuple[Value, ...]) -> Awaitable[None]:
        """Queue a row; the result is ready once the row, and all that was queued before, is on disk.

        To wait for it raises DiskError where that failed; then this row is not in the journal and will not
        be, while rows that were posted are kept for a later commit.
        """
        return self._make_durable((statement, values))

    async def flush(self) -> None:
        """Return once all that was queued is on disk. Raises DiskError where that failed."""
        await self._make_durable(None)

    async def close(self) -> None:
        """Commit what is queued, if that is possible, and end the thread. Safe to call twice.

        A caller that is cancelled does not wait for a disk that never answers: the thread is left to its
        commit.
        """
        if self._closed:
            return
        try:
            with suppress(DiskError):
                await self.flush()
        finally:
            self._closed = True
            self._orders.put(None)
            self._thread.join(LAST_COMMIT)
            if not self._thread.is_alive():
                self._database.close()

    def _make_durable(self, entry: RowEntry | None) -> Awaitable[None]:
        # The future itself, for a coroutine around it would only pass it on.
        if self._closed:
            raise JournalError(f"{self._database.path}: the journal is closed")
        future = self._loop.create_future()
        self._waiting.append((entry, future))
        if self._under_way is None and len(self._waiting) == 1:
            # At the end of this turn of the loop, so that all tasks that run in it share the commit.
            self._loop.call_soon(self._begin)
        return future

    def _begin(self) -> None:
        """Hand all queued rows to SQLite, and order the commit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._under_way is not None or not (self._queued or self._waiting) or self._closed:
            return
        batch = _CommitBatch(self._queued, self._waiting)
        self._queued, self._waiting = [], []
        try:
            self._database.begin()
            write_entries(self._database, [*batch.posted, *(entry for entry, _ in batch.waiting if entry)])
            self._database.seal()
        except Exception as error:  # noqa: BLE001 - a bug of ours must reach the waiting callers, or they hang
            self._database.roll_back()
            self._settle(batch, error)
        else:
            self._under_way = batch
            self._orders.put(batch)

    def _commit_orders(self) -> None:
        while (batch := self._orders.get()) is not None:
            error: Exception | None = None
            try:
                _refuse_without_file(self._database)
                self._database.commit()
            except Exception as caught:  # noqa: BLE001 - as in _begin
                error = caught
                self._database.roll_back()
            with suppress(RuntimeError):  # the loop is gone if the writing was cut off
                self._loop.call_soon_threadsafe(self._settle, batch, error)

    def _settle(self, batch: _CommitBatch, error: Exception | None) -> None:
        """Tell the waiting callers the result, and begin with the rows that were queued meanwhile."""
        self._under_way = None
        if error is not None:
            self._queued[:0] = batch.posted
        for _, future in batch.waiting:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(DiskError(str(error)) if isinstance(error, JournalError) else error)
        if self._waiting:
            self._begin()
        elif self._queued and self._timer is None:
            self._timer = self._loop.call_later(IDLE, self._begin)


def _refuse_without_file(database: Database) -> None:
    """Raise DiskError if the journal has no name any more.

    SQLite would write on without an error, into a file that nobody finds again.
    """
    try:
        database.path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DiskError(f"{database.path}: somebody removed the journal, or moved it") from error


def write_entries(database: Database, entries: list[RowEntry]) -> None:
    """Hand rows to SQLite, and to the ledger, in a transaction that the caller begins and seals."""
    for statement, rows in _group_by_statement(entries):
        if statement in BATCHED:
            database.change_many(statement, rows)
        elif statement in IN_PARTS:
            database.change_in_parts(statement, rows[0])
        else:
            database.change(statement, rows[0])


def _group_by_statement(entries: list[RowEntry]) -> Iterator[tuple[str, list[tuple[Value, ...]]]]:
    """Yield the rows of each statement together, which is far cheaper than one by one.

    Rows of results and of outcomes touch different tables, so their order does not matter to one another;
    any other statement (a note, the targets left at the end) comes after all rows that were queued before it.
    Intents come first: rows of another machine hold an intent together with its result, which needs it.
    """
    rows: dict[str, list[tuple[Value, ...]]] = {INSERT_INTENT: []}
    for statement, values in entries:
        if statement in BATCHED:
            rows.setdefault(statement, []).append(values)
        else:
            # Not a function of its own: this runs once for each snapshot of a large run.
            for batched, several in rows.items():
                if several:
                    yield batched, several
            rows = {INSERT_INTENT: []}
            yield statement, [values]
    for batched, several in rows.items():
        if several:
            yield batched, several
