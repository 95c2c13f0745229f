"""The journal of a chunk: some targets of a run, with all that the run knows of them, in a file of their own.

The run's journal stays as it was when its session began; a chunk's journal is written while the chunk goes on
and is thrown away after it. The numbers of targets are the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from orchestrator.journal.database import Database, create_database, make_uri
from orchestrator.journal.schema import AFTER_LOADING
from orchestrator.model.outcome import Outcome, is_as_wanted

_COLUMNS = (
    "seq, id, gateway, wave, file, line, column, description, persistent, step, depth,"
    " outcome, reason, evidence, seconds, ended"
)
_ATTEMPT = "seq, number, act, via, started, seconds, status, code, message, verdict, sent, pods"
# The level is optional: ?5 is NULL for a step whose targets wait for none of another gateway.
_PLACED = """
    SELECT seq FROM run.target
    WHERE wave = ?1 AND step = ?2 AND gateway = ?3 AND outcome IS NULL AND (?5 IS NULL OR depth = ?5)
    ORDER BY depth, seq LIMIT ?6 OFFSET ?4
"""
_TABLES = (
    "CREATE TEMP TABLE part (seq INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE vain (seq INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE needed (seq INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE awaited (seq INTEGER PRIMARY KEY)",
)
_CHOOSE = f"INSERT INTO part {_PLACED}"
_CHOOSE_VAIN = f"INSERT OR IGNORE INTO vain {_PLACED}"
_ADD_VAIN = "INSERT OR IGNORE INTO vain VALUES (?)"
_NEED = (
    "INSERT INTO needed SELECT DISTINCT needs FROM run.dependency WHERE seq IN (SELECT seq FROM part)"
    " AND needs NOT IN (SELECT seq FROM part)"
)
_AWAIT = "INSERT INTO awaited SELECT DISTINCT needs FROM run.dependency WHERE needs IN (SELECT seq FROM part)"
_COPIES = (
    "INSERT INTO meta SELECT key, value FROM run.meta",
    f"INSERT INTO target ({_COLUMNS}) SELECT {_COLUMNS} FROM run.target JOIN part USING (seq)",
    f"INSERT INTO target ({_COLUMNS}) SELECT {_COLUMNS} FROM run.target JOIN needed USING (seq)",
    "INSERT INTO dependency SELECT seq, needs FROM run.dependency JOIN part USING (seq)",
    "INSERT INTO approved SELECT seq, state, revision, since FROM run.approved JOIN part USING (seq)",
    "INSERT INTO snapshot SELECT seq, taken, verdict, value FROM run.snapshot JOIN part USING (seq)",
    "INSERT INTO usage SELECT seq, taken, calls, value FROM run.usage JOIN part USING (seq)",
    f"INSERT INTO attempt SELECT {_ATTEMPT} FROM run.attempt JOIN part USING (seq)",
)
# What was open when the session began has gone through another chunk by now: as wanted, or in vain.
_SETTLE = (
    "UPDATE target SET outcome = CASE WHEN seq IN (SELECT seq FROM vain) THEN 'failed' ELSE ? END"
    " WHERE outcome IS NULL AND seq IN (SELECT seq FROM needed)"
)


class ChunkTargets(Struct, frozen=True, kw_only=True):
    """Which open targets of a run's journal, in the order of depth and number, a chunk has."""

    wave: int
    step: int
    gateway: int
    """The index in the plan."""
    first: int
    count: int
    level: int | None = None
    """Only targets of this depth."""

    @property
    def values(self) -> tuple[int | None, ...]:
        """The parameters of the queries."""
        return self.wave, self.step, self.gateway, self.first, self.level, self.count


class ChunkFate(NamedTuple):
    """What became of the targets of a chunk so far."""

    left: frozenset[int]
    """Those without an outcome."""
    broken: tuple[int, ...]
    """Those that others wait for, and that did not end as wanted; also those that are left."""


class ChunkJournal:
    """The journal of one chunk. Its rows are not durable."""

    def __init__(self, database: Database) -> None:
        """``database`` is the one that ``make_chunk_journal`` made."""
        self.database = database
        self._awaited = [seq for (seq,) in database.rows("SELECT seq FROM awaited ORDER BY seq")]

    def read_fate(self) -> ChunkFate:
        """Return what became of the targets."""
        return ChunkFate(frozenset(self._list_left()), tuple(self._list_broken()))

    def _list_left(self) -> Iterator[int]:
        rows = self.database.rows("SELECT seq FROM target JOIN part USING (seq) WHERE outcome IS NULL")
        return (seq for (seq,) in rows)

    def _list_broken(self) -> Iterator[int]:
        query = "SELECT outcome, reason FROM target WHERE seq = ?"
        for seq in self._awaited:
            outcome, reason = self.database.one(query, (seq,))
            if not is_as_wanted(None if outcome is None else Outcome(outcome), reason):
                yield seq

    def close(self) -> None:
        """Close the database; safe to call twice."""
        self.database.close()


def make_chunk_journal(
    run: Path,
    path: Path,
    targets: ChunkTargets,
    *,
    wanted: Outcome,
    broken: Iterable[int] = (),
    undone: Sequence[ChunkTargets] = (),
) -> ChunkJournal:
    """Make the journal of a chunk at ``path``, out of the journal ``run`` of its run.

    A target of another chunk that one of these waits for has ended as ``wanted``, unless it is ``broken`` or
    at one of the ``undone`` places. Raises JournalError and DiskError.
    """
    database = create_database(path)
    try:
        with database.translate_errors():
            # No other process reads it, and so each statement need not wait for a lock.
            database.run("PRAGMA main.locking_mode=EXCLUSIVE")
            database.run("ATTACH ? AS run", (make_uri(run, "ro"),))
        with database.transaction():
            _fill(database, targets, wanted, broken, undone)
        database.run("DETACH run")
        return ChunkJournal(database)
    except BaseException:
        database.close()
        raise


def _fill(
    database: Database,
    targets: ChunkTargets,
    wanted: Outcome,
    broken: Iterable[int],
    undone: Sequence[ChunkTargets],
) -> None:
    for statement in _TABLES:
        database.run(statement)
    database.run(_CHOOSE, targets.values)
    for statement in (_NEED, _AWAIT, *_COPIES):
        database.run(statement)
    database.run_many(_ADD_VAIN, ((seq,) for seq in broken))
    for place in undone:
        database.run(_CHOOSE_VAIN, place.values)
    database.run(_SETTLE, (wanted.value,))
    database.run(AFTER_LOADING)
