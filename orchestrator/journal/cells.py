"""Looks for cells that no version of this program writes: of another type, or with an unknown word.

SQLite keeps a cell as it is, whatever its column says. Read as a number or a word, such a cell would be an
error in the middle of a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import get_args

from orchestrator.errors import JournalError
from orchestrator.journal.database import Database
from orchestrator.journal.sessions import SessionState
from orchestrator.model.outcome import Outcome
from orchestrator.model.reading import Act, Verdict

TABLES = ("target", "dependency", "snapshot", "approved", "usage", "attempt", "session", "note")

_TYPES = MappingProxyType({"INTEGER": "integer", "REAL": "real", "TEXT": "text", "BLOB": "blob"})
"""By the type of a column, the type of its cells. SQLite makes a whole number in a column of reals a real."""

_DIGESTED = frozenset(("seq", "id", "gateway", "wave"))
"""The columns of ``target`` that ``planned`` covers."""

_VERDICTS = tuple(verdict.value for verdict in Verdict)
_WORDS: Mapping[tuple[str, str], Iterable[str]] = MappingProxyType(
    {
        ("target", "outcome"): tuple(Outcome),
        ("attempt", "act"): tuple(Act),
        ("attempt", "verdict"): _VERDICTS,
        ("snapshot", "verdict"): _VERDICTS,
        ("session", "state"): get_args(SessionState),
    }
)
_LATEST = 253_402_300_799
"""The end of the year 9999 in Unix seconds: no later time can be told."""


def check_cells(database: Database) -> None:
    """Raise JournalError if a table has a cell that this program cannot have written."""
    for table in TABLES:
        fits = " AND ".join(_list_conditions(database, table))
        if fits and database.one(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE NOT ({fits}))")[0]:
            raise JournalError(
                f"{database.path}: the journal is damaged (in the table `{table}` stands what this program"
                " does not write); `undeploy report RUN --verify` tells where; restore it from a copy"
            )


def _list_conditions(database: Database, table: str) -> Iterator[str]:
    """Yield for each column the condition that its cells meet."""
    for _, name, kind, is_needed, _, key in database.rows(f"PRAGMA table_info({table})"):
        if table == "target" and name in _DIGESTED:
            continue
        # Fewer words for SQLite than a test of the words and of the type, and a word is a text.
        fits = f"typeof({name}) = '{_TYPES[kind]}'" if kind in _TYPES else "TRUE"
        if kind == "REAL":
            fits += f" AND abs({name}) <= {_LATEST}"
        if words := _WORDS.get((table, name)):
            fits = f"{name} IN ({', '.join(map(repr, map(str, words)))})"
        yield f"({fits})" if is_needed or key else f"({name} IS NULL OR {fits})"
