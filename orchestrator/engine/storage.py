"""Where a session keeps its journal: how an open one is written, and read meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from orchestrator.journal.database import Database, open_database
from orchestrator.journal.writer import Writer, Writing


def _reader(database: Database) -> Database:
    return open_database(database.path, write=False)


class Storage(Struct, frozen=True, kw_only=True):
    """How a journal is written and read. The defaults are the disk; a simulated run has a slow, full one."""

    writing: Callable[[Database], Writing] = Writer
    """Starts to write an open journal; whoever closes the writing closes the database."""
    reader: Callable[[Database], Database] = _reader
    """Opens a second connection to the same journal, for reading while the first one writes."""
