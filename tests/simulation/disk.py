"""A disk that takes its time, fills up, and may be the place where the process dies."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import anyio

from orchestrator.errors import DiskError
from orchestrator.journal.database import Database, Value
from orchestrator.journal.writer import RowEntry, write_entries
from tests.simulation.clock import VirtualLoop


class ProcessFate:
    """Decides when the process dies and when the disk is full, in steps of disk and network together."""

    def __init__(self, loop: VirtualLoop, *, dies_at: int | None = None, full: range = range(0)) -> None:
        self._loop = loop
        self._dies_at = dies_at
        self._full = full
        self.steps = 0

    @property
    def dead(self) -> bool:
        """Whether the process was killed; code that still runs only leaves the memory."""
        return self._loop.killed

    async def step(self) -> None:
        """Pass one more point at which the process may die; then the caller never goes on."""
        self.steps += 1
        if self._dies_at is not None and self.steps >= self._dies_at:
            self._loop.kill()
            await anyio.sleep_forever()

    @property
    def full(self) -> bool:
        """Whether the disk accepts no bytes now."""
        return self.steps in self._full


class SlowDisk:
    """Writes a journal as the writer thread does: all that is queued goes into the next commit."""

    def __init__(
        self, database: Database, random: Random, fate: ProcessFate, committed: Callable[[RowEntry], None]
    ) -> None:
        self._database = database
        self._random = random
        self._fate = fate
        self._committed = committed
        self._queued: list[RowEntry] = []
        self._intents: list[tuple[RowEntry | None, anyio.Event]] = []
        self._failed: set[int] = set()
        self._closed = False

    def post(self, statement: str, values: tuple[Value, ...]) -> None:
        """Queue a row."""
        self._queued.append((statement, values))

    async def write(self, statement: str, values: tuple[Value, ...]) -> None:
        """Return once the row is committed. Raises DiskError if the disk was full."""
        await self._write_durably((statement, values))

    async def flush(self) -> None:
        """Return once everything queued is committed."""
        await self._write_durably(None)

    async def close(self) -> None:
        """Commit what is left, unless the process is dead. Safe to call twice."""
        if not self._fate.dead and not self._closed:
            self._commit()
        self._closed = True
        self._database.close()

    async def _write_durably(self, entry: RowEntry | None) -> None:
        done = anyio.Event()
        self._intents.append((entry, done))
        await anyio.sleep(self._random.random() * 0.01)
        await self._fate.step()
        if not done.is_set():
            self._commit()
        if id(done) in self._failed:
            self._failed.discard(id(done))
            raise DiskError("the simulated disk is full")
        await self._fate.step()

    def _commit(self) -> None:
        """Commit all that is queued, or nothing of it."""
        waiting, self._intents = self._intents, []
        if self._fate.full:
            self._failed.update(id(done) for _, done in waiting)
        else:
            entries = [*self._queued, *(entry for entry, _ in waiting if entry is not None)]
            self._queued.clear()
            with self._database.transaction():
                for entry in entries:
                    write_entries(self._database, [entry])
            for entry in entries:
                self._committed(entry)
        for _, done in waiting:
            done.set()
