"""The rows and events of a chunk: kept here for its own use, and told to the server by heartbeats.

A row counts as durable once a heartbeat that holds it was acknowledged. So no request leaves before the
server knows of its intent, and whoever goes on with the chunk looks at that target first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.database import Database, Value
from orchestrator.journal.record import TRANSFERRED
from orchestrator.journal.transfer import NamedRow, encode_segment, name_row
from orchestrator.journal.writer import RowEntry, write_entries
from orchestrator.model.events import AnyEvent

_SEQ_AT = {"intent": 0, "result": -2, "outcome": -1, "snapshot": 0, "usage": 0}
"""Where the number of a row's target is among the values."""


def find_seq(row: NamedRow) -> int | None:
    """Return the number of the target that a row is about; None for a row about no single target."""
    at = _SEQ_AT.get(row.name)
    return None if at is None else row.values[at]


def select_rows(rows: Iterable[NamedRow], left: frozenset[int]) -> list[NamedRow]:
    """Return, in their order, the rows from which the next dispatch of a chunk goes on.

    They are all of those about the targets that are ``left``. Of the others the outcomes are enough: without
    them the next dispatch, which begins with the journal of the session, would take these targets for open.
    """
    return [row for row in rows if row.name == "outcome" or find_seq(row) in left]


def replay_rows(database: Database, rows: Iterable[NamedRow]) -> None:
    """Write rows of another dispatch into the chunk's journal. Raises JournalError and DiskError."""
    entries: list[RowEntry] = [(TRANSFERRED[row.name], tuple(row.values)) for row in rows]
    _write(database, entries)


def _write(database: Database, entries: list[RowEntry]) -> None:
    if entries:
        with database.transaction():
            write_entries(database, entries)


class ChunkLog:
    """What a dispatch of a chunk has written, cut into segments that never change again."""

    def __init__(self) -> None:
        self.segments: list[bytes] = []
        self.rows: list[NamedRow] = []
        """All rows, also those that are in no segment yet."""
        self.size = 0
        """Bytes of the segments."""
        self._cut_rows = 0
        self._events: list[AnyEvent] = []

    def add_row(self, row: NamedRow) -> None:
        """Append a row."""
        self.rows.append(row)

    def add_event(self, event: AnyEvent) -> None:
        """Append an event; it comes after the rows before it."""
        self._events.append(event)

    def cut(self) -> Sequence[bytes]:
        """Put what came since the last cut into a segment, if anything did; return all segments."""
        rows = self.rows[self._cut_rows :]
        if rows or self._events:
            segment = encode_segment(rows, self._events)
            self.segments.append(segment)
            self.size += len(segment)
            self._cut_rows, self._events = len(self.rows), []
        return tuple(self.segments)


class RemoteRows:
    """Takes the rows of a chunk's session: a ``RowSink`` whose disk is the server's."""

    def __init__(self, log: ChunkLog, database: Database, wake: Callable[[], None]) -> None:
        """``wake`` is called when a row waits to be told to the server."""
        self._log = log
        self._database = database
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._unwritten: list[RowEntry] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._is_closed = False

    def post(self, statement: str, values: tuple[Value, ...]) -> None:
        """Queue a row, which travels with the next heartbeat."""
        self._log.add_row(name_row(statement, values))
        self._unwritten.append((statement, values))

    def write(self, statement: str, values: tuple[Value, ...]) -> Awaitable[None]:
        """Queue a row; the result is ready once the server knows it, and all that was queued before."""
        if self._is_closed:
            raise JournalError("the chunk has ended")
        self.post(statement, values)
        future = self._loop.create_future()
        self._waiting.append(future)
        self._wake()
        return future

    async def flush(self) -> None:
        """Have all rows in the chunk's own journal, for readers here. Raises DiskError."""
        # The server need not know them: a look that follows has an intent of its own.
        entries, self._unwritten = self._unwritten, []
        try:
            _write(self._database, entries)
        except DiskError:
            self._unwritten[:0] = entries
            raise

    def take_waiting(self) -> list[asyncio.Future[None]]:
        """Return the callers whose rows are in the log by now, for the heartbeat that tells them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def waiting(self) -> int:
        """The number of callers that wait for the server to know their rows."""
        return len(self._waiting)

    async def close(self) -> None:
        """Take no rows any more; safe to call twice."""
        self._is_closed = True
