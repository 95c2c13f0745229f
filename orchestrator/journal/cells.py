"""Looks for cells that no version of this program writes: of another type, or with an unknown word.

SQLite keeps a cell as it is, whatever its column says. Read as a number or a word, such a cell would be an
error in the middle of a report. Cells of JSON are too many to be looked at beforehand: ``JsonCells`` refuses
what it cannot read.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar, get_args

import msgspec

from orchestrator.errors import ExitStatus, make_damage_error
from orchestrator.journal.database import Database
from orchestrator.journal.meta import EARLIEST, LATEST
from orchestrator.journal.notes import list_begun
from orchestrator.journal.planned import COVERED, has_digest
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Snapshot, Verdict
from orchestrator.rules.exit_status import EndState

TABLES = ("target", "dependency", "snapshot", "approved", "usage", "attempt", "session", "note")

_TYPES = MappingProxyType({"INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"})
"""By the type of a column, the type of its cells. SQLite makes a whole number in a column of reals a real."""

_VERDICTS = tuple(verdict.value for verdict in Verdict)
_WORDS: Mapping[tuple[str, str], Iterable[str]] = MappingProxyType(
    {
        ("target", "outcome"): tuple(Outcome),
        ("attempt", "act"): tuple(Act),
        ("attempt", "verdict"): _VERDICTS,
        ("snapshot", "verdict"): _VERDICTS,
        ("session", "state"): get_args(EndState),
        ("session", "exit_status"): tuple(f"{status}" for status in ExitStatus),
    }
)
_IS_NO_WAVE = (
    "SELECT ?1 NOT BETWEEN 0 AND json_array_length(value, '$.waves') - 1 FROM meta WHERE key = 'plan'"
)


def is_time(column: str) -> str:
    """Return the condition that a cell is a number which can be told as a time, or as a duration."""
    return f"typeof({column}) = 'real' AND {column} BETWEEN {EARLIEST} AND {LATEST}"


Value = TypeVar("Value")


class JsonCells(Generic[Value]):
    """Reads the cells of a column whose texts are JSON. ``what`` names one of them to people."""

    def __init__(self, what: str, type_: type[Value]) -> None:
        self._what = what
        self._decoder = msgspec.json.Decoder(type_)

    def decode(self, text: str) -> Value:
        """Return the value of a cell. Raises JournalError for one that the program cannot have written."""
        try:
            return self._decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeError, TypeError, RecursionError) as error:
            raise make_damage_error(f"{self._what} cannot be read: {error}") from error


SNAPSHOTS = JsonCells("a snapshot", Snapshot)


def check_cells(database: Database) -> None:
    """Raise JournalError if a table has a cell that this program cannot have written."""
    covered = COVERED if has_digest(database) else frozenset[str]()
    for table in TABLES:
        _check_table(database, table, covered)
    for begun in list_begun(database):
        if database.one(_IS_NO_WAVE, (begun.wave,))[0]:
            raise make_damage_error(f"its plan has no wave {begun.wave}, which has begun", database.path)


def check_sessions(database: Database) -> None:
    """Raise JournalError if a session has a cell that this program cannot have written."""
    _check_table(database, "session")


def _check_table(database: Database, table: str, covered: Container[str] = ()) -> None:
    fits = " AND ".join(_list_conditions(database, table, covered))
    if fits and database.one(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE NOT ({fits}))")[0]:
        what = f"in the table `{table}` stands what this program does not write"
        raise make_damage_error(what, database.path)


def _list_conditions(database: Database, table: str, covered: Container[str]) -> Iterator[str]:
    """Yield for each column the condition that its cells meet; nothing for targets' ``covered`` columns."""
    for _, name, kind, is_needed, _, key in database.rows(f"PRAGMA table_info({table})"):
        if table == "target" and name in covered:
            continue
        # Fewer words for SQLite than a test of the words and of the type, and a word is a text.
        fits = f"typeof({name}) = '{_TYPES[kind]}'" if kind in _TYPES else "TRUE"
        if kind == "REAL":
            fits = is_time(name)
        if words := _WORDS.get((table, name)):
            fits = f"{name} IN ({', '.join(map(repr, map(str, words)))})"
        yield f"({fits})" if is_needed or key else f"({name} IS NULL OR {fits})"
