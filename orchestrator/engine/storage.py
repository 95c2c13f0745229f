"""The storage of a session's journal: how the session writes it, and reads it at the same time."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from orchestrator.journal.database import Database, open_database
from orchestrator.journal.writer import GroupCommitWriter, RowSink


def _open_reader(database: Database) -> Database:
    return open_database(database.path, write=False)


class Storage(Struct, frozen=True, kw_only=True):
    """How a session reaches its journal. The defaults are the disk; a simulated run has a slow, full one."""

    start_writer: Callable[[Database], RowSink] = GroupCommitWriter
    """Starts to write an open journal. Closing the writer closes the database."""
    open_reader: Callable[[Database], Database] = _open_reader
    """Opens a second connection to the same journal, to read while the first one writes."""
