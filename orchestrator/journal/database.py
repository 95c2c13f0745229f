"""Connections to a journal's database, and the checks of the file.

No other module imports sqlite3.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote_from_bytes

from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.ledger import BATCHED, ENTRY_KINDS, MOST_ENTRIES, Ledger, begin_ledger
from orchestrator.journal.migrations import MIGRATIONS
from orchestrator.journal.schema import APPLICATION_ID, FORMAT, TABLES
from orchestrator.text.names import fold_for_search, to_nfc

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Any, ...]
"""A row of a query. Its columns have the types of the tables, which no type checker can see."""

STEPS_BETWEEN_LOOKS = 100_000
"""Instructions of SQLite between two looks at the clock: some milliseconds."""

_DISK_FAULTS = ("full", "disk i/o", "readonly", "unable to open")


def create_database(path: Path) -> Database:
    """Make an empty journal that is cheap to fill and not yet durable (see ``Database.make_durable``)."""
    database = Database(path)
    try:
        with database.translate_errors():
            database.run("PRAGMA journal_mode=OFF")
            database.run("PRAGMA synchronous=OFF")
            database.run(f"PRAGMA application_id={APPLICATION_ID}")
            database.run(f"PRAGMA user_version={FORMAT}")
            database.script(TABLES)
    except BaseException:
        database.close()
        raise
    return database


def open_database(path: Path, *, write: bool, whole: bool = True) -> Database:
    """Open an existing journal. Raises JournalError if it is missing, damaged, or of a newer format.

    A journal of an older format is converted: in the file if it is opened to ``write``, else in a copy that
    is gone with the connection. Only ``whole`` looks at every page for damage; otherwise a damaged page is
    met where it is read.
    """
    try:
        is_there = path.is_file()
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read: {error.strerror}") from error
    if not is_there:
        raise JournalError(f"{path}: there is no journal here")
    database = Database(path, write=write)
    try:
        version = _check_format(database, path)
        # A start looks at live runs without this check: it would read large journals while other runs wait.
        if whole:
            _check_pages(database, path)
        if write:
            database.make_durable()
        if version < FORMAT:
            _convert(database, version, in_file=write)
    except BaseException:
        database.close()
        raise
    return database


def _check_format(database: Database, path: Path) -> int:
    """Return the format of the journal. Raises JournalError if this program cannot read it."""
    with database.translate_errors():
        application = database.one("PRAGMA application_id")[0]
        version: int = database.one("PRAGMA user_version")[0]
    if application != APPLICATION_ID:
        raise JournalError(f"{path}: this is not a journal of this program")
    if version != FORMAT and version not in MIGRATIONS:
        raise JournalError(
            f"{path}: this journal has format {version}; this version of the program reads format {FORMAT}"
            " and older ones. Use the version that made it"
        )
    return version


def _check_pages(database: Database, path: Path) -> None:
    with database.translate_errors():
        verdict = database.one("PRAGMA quick_check(1)")[0]
    if verdict != "ok":
        what = " ".join(verdict.split())
        raise JournalError(f"{path}: the journal is damaged ({what}); restore it from a copy")


def _convert(database: Database, version: int, *, in_file: bool) -> None:
    """Make a journal of the format ``version`` one of today's format, all of it or nothing."""
    if not in_file:
        # A reader may have no right to write. And an older program must still be able to resume the run.
        database.leave_file()
    with database.transaction():
        for older in range(version, FORMAT):
            for statement in MIGRATIONS[older]:
                database.run(statement)
        # Later changes are then found. A copy is never written again, and its reader need not wait for that.
        if in_file:
            begin_ledger(database)
        database.run(f"PRAGMA user_version={FORMAT}")


def _choose_read_mode(path: Path) -> str:
    """Return how SQLite reads the file.

    On a read-only disk SQLite cannot make the files that it shares with a writer. Nor are they needed: no
    process can write there.
    """
    alone = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return "ro&immutable=1" if alone else "ro"


def make_uri(path: Path, mode: str) -> str:
    """Return what SQLite takes for the name of a file that it opens in a ``mode``, such as ``ro``."""
    # Path.as_uri of Python 3.14 loads all that speaks HTTP.
    return f"file://{quote_from_bytes(os.fsencode(path.absolute()))}?mode={mode}"


BUSY_TIMEOUT = 2.0
"""Seconds to wait for another process's lock on the database: meanwhile the whole run waits."""


def _connect(uri: str) -> sqlite3.Connection:
    # Two threads use it: the event loop hands rows over, and the writer's thread commits them.
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT
    )
    connection.create_function("nfc", 1, to_nfc, deterministic=True)
    connection.create_function("fold", 1, fold_for_search, deterministic=True)
    return connection


class Database:
    """One connection, with explicit transactions, and with our errors instead of SQLite's.

    A statement may call ``nfc(text)``, the form in which names are compared, and ``fold(text)``, the form in
    which a search finds them.
    """

    def __init__(self, path: Path, *, write: bool = True) -> None:
        self.path = path
        self.ledger: Ledger | None = None
        """Gets an entry of each change, once ``ledger.go_on_with_ledger`` has set it."""
        mode = "rwc" if write else _choose_read_mode(path)
        with self.translate_errors():
            self._connection = _connect(make_uri(path, mode))

    def leave_file(self) -> None:
        """Go on with a private copy of the database, which is gone when the connection closes."""
        with self.translate_errors():
            # SQLite keeps a database without a name in memory, and what does not fit in a temporary file.
            copy = _connect("")
            try:
                self._connection.backup(copy)
            except BaseException:
                copy.close()
                raise
        self._connection.close()
        self._connection = copy

    def copy_to(self, path: Path) -> None:
        """Write one moment of the database into a new file, without what was deleted. Not durable."""
        with self.translate_errors():
            self.run("VACUUM INTO ?", (str(path),))

    def make_durable(self) -> None:
        """Make every further commit durable when it returns (WAL, synchronous=FULL)."""
        with self.translate_errors():
            self.run("PRAGMA journal_mode=WAL")
            self.run("PRAGMA synchronous=FULL")

    def run(self, statement: str, values: Sequence[Value] = ()) -> None:
        """Execute one statement, and ignore its rows."""
        self._connection.execute(statement, values).close()

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Execute one statement for many rows."""
        with self.translate_errors():
            self._connection.executemany(statement, rows).close()

    def change(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """Execute a statement that returns what it changed, and enter that into the ledger.

        The statement ends with ``EntryKind.returning``. Returns its rows without the name of their kind.
        """
        with self.translate_errors():
            rows: list[Row] = self._connection.execute(statement, values).fetchall()
        entries = [row[1:] for row in rows]
        if rows and self.ledger is not None:
            self.ledger.enter(ENTRY_KINDS[rows[0][0]], entries)
        return entries

    def change_in_parts(self, statement: str, values: Sequence[Value]) -> None:
        """Execute a statement on targets, some at a time, since SQLite collects in memory what it returns.

        The last two parameters are the numbers between which its targets are: above the first one, and up to
        the second.
        """
        last = self.one("SELECT COALESCE(MAX(seq), 0) FROM target")[0]
        for above in range(-1, last, MOST_ENTRIES):
            self.change(statement, (*values, above, above + MOST_ENTRIES))

    def change_many(self, statement: str, rows: list[tuple[Value, ...]]) -> None:
        """Execute one of ``BATCHED`` for many rows."""
        self.run_many(statement, rows)
        if self.ledger is not None:
            self.ledger.enter(BATCHED[statement], rows)

    def script(self, statements: str) -> None:
        """Execute several statements."""
        self._connection.executescript(statements).close()

    def rows(self, query: str, values: Sequence[Value] = ()) -> Iterator[Row]:
        """Yield the rows of a query, one by one."""
        with self.translate_errors():
            # Not `yield from`: a reader that stops half-way would close the cursor, and may do so only
            # after the connection was closed, which SQLite refuses.
            for row in self._connection.execute(query, values):  # noqa: UP028
                yield row

    def one(self, query: str, values: Sequence[Value] = ()) -> Row:
        """Return the first row of a query that always has one."""
        with self.translate_errors():
            row: Row = self._connection.execute(query, values).fetchone()
        return row

    def list_columns(self, table: str) -> tuple[str, ...]:
        """Return the names of a table's columns, in their order in this file."""
        return tuple(name for _, name, *_ in self.rows(f"PRAGMA table_info({table})"))

    def begin(self) -> None:
        """Begin a transaction."""
        with self.translate_errors():
            self.run("BEGIN IMMEDIATE")

    def seal(self) -> None:
        """Enter into the ledger what the transaction has changed. ``commit`` comes next."""
        if self.ledger is not None:
            with self.translate_errors():
                self.ledger.seal()

    def commit(self) -> None:
        """Make the transaction durable."""
        with self.translate_errors():
            self.run("COMMIT")
        if self.ledger is not None:
            self.ledger.accept()

    def roll_back(self) -> None:
        """Undo a transaction that failed."""
        # The first error is the one to tell; after a full disk SQLite may have rolled back by itself.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self.run("ROLLBACK")
        if self.ledger is not None:
            self.ledger.discard()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements of the block, or none of them."""
        self.begin()
        try:
            with self.translate_errors():
                yield
            self.seal()
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn SQLite's errors into JournalError, and a full or read-only disk into DiskError."""
        try:
            yield
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            text = str(error).lower()
            kind = DiskError if any(fault in text for fault in _DISK_FAULTS) else JournalError
            raise kind(f"{self.path}: {error}") from error

    def limit_time(self, seconds: float) -> None:
        """Give up every statement that runs so many seconds from now on, with JournalError."""
        ends = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > ends, STEPS_BETWEEN_LOOKS)

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._connection.close()
