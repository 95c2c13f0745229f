"""The ledger of a journal: what each commit wrote, chained by hashes.

A row of the ledger holds the entries of one commit, and the hash over those entries and the row before. So a
row of another table that is changed later disagrees with the ledger, and a ledger that is changed later
disagrees with itself. ``journal.audit`` compares them; docs/audit.md says what that proves.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from orchestrator.errors import UsageError, make_damage_error
from orchestrator.journal.schema import INSERT_INTENT, UPDATE_OUTCOME, UPDATE_RESULT
from orchestrator.model.credentials import Secret

if TYPE_CHECKING:
    from orchestrator.journal.database import Database

Entry: TypeAlias = Sequence[Any]
"""The columns of a row that one commit wrote, in the order of their ``EntryKind``."""

MOST_ENTRIES = 2000
"""Entries of one row of the ledger. A larger commit, such as the end of a million targets, makes several."""

MOST_OF_INTEGER = 2.0**63
DIGEST_BYTES = 16
"""Bytes of a SHA-256 that stand for the columns of a long row."""

_INSERT = "INSERT INTO ledger (number, hash, mac, entries) VALUES (?, ?, ?, ?)"
_LAST = "SELECT number, hash, mac FROM ledger ORDER BY number DESC LIMIT 1"
_NO_MAC = bytes(32)
_encode = msgspec.msgpack.Encoder().encode


class EntryKind(Struct, frozen=True, kw_only=True, dict=True):
    """Columns of one table that are written together.

    No two kinds have a column in common, apart from the keys. So a row whose parts were written by several
    commits agrees with each of them.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    """All columns, in the order of the statement that writes them."""
    keys: tuple[str, ...] = ("seq",)
    digested: bool = False
    """The entry holds a digest in place of the columns that are no keys: they are long, or many."""
    begins_row: bool = True
    """Whether the row exists only with these columns; otherwise all of them may be null."""

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The columns that are no keys."""
        return tuple(column for column in self.columns if column not in self.keys)

    @property
    def returning(self) -> str:
        """The end of a statement that makes it return what it has changed, for ``Database.change``."""
        return f" RETURNING '{self.name}', {', '.join(self.columns)}"

    @property
    def query(self) -> str:
        """The query for the columns of all rows that have any."""
        where = "" if self.begins_row else f" WHERE {' OR '.join(f'{name} NOT NULL' for name in self.values)}"
        return f"SELECT {', '.join(self.columns)} FROM {self.table}{where}"

    def shorten(self, entry: Entry) -> Entry:
        """Return an entry of a digested kind: the keys, and the digest of the other columns."""
        cut = len(self.keys)
        return (*entry[:cut], digest_values(entry[cut:]))


def digest_values(values: Sequence[Any]) -> bytes:
    """Return the digest that stands for some columns."""
    return hashlib.sha256(_encode(list(map(_make_plain, values)))).digest()[:DIGEST_BYTES]


def _make_plain(value: Any) -> Any:
    """Return a whole number as an integer: SQLite keeps 2.0 as 2 on disk, and may return either."""
    # A larger one is no integer of SQLite's, nor of MessagePack's.
    is_whole = type(value) is float and value.is_integer() and abs(value) < MOST_OF_INTEGER
    return int(value) if is_whole else value


META = EntryKind(name="meta", table="meta", keys=("key",), columns=("key", "value"), digested=True)
TARGET = EntryKind(
    name="target",
    table="target",
    columns=(
        *("seq", "id", "gateway", "wave", "file", "line", "column"),
        *("description", "persistent", "step", "depth"),
    ),
    digested=True,
)
DEPENDENCY = EntryKind(name="dependency", table="dependency", keys=("seq", "needs"), columns=("seq", "needs"))
APPROVED = EntryKind(
    name="approved", table="approved", columns=("seq", "state", "revision", "since"), digested=True
)
SNAPSHOT = EntryKind(
    name="snapshot", table="snapshot", columns=("seq", "taken", "verdict", "value"), digested=True
)
USAGE = EntryKind(name="usage", table="usage", columns=("seq", "taken", "calls", "value"), digested=True)
SESSION = EntryKind(
    name="session",
    table="session",
    keys=("number",),
    columns=("number", "started", "holder", "options"),
)
SESSION_END = EntryKind(
    name="session_end",
    table="session",
    keys=("number",),
    columns=("ended", "state", "stopped_by", "exit_status", "seconds", "number"),
    begins_row=False,
)
NOTE = EntryKind(
    name="note",
    table="note",
    keys=("number",),
    columns=("number", "session", "at", "gateway", "kind", "text"),
)
INTENT = EntryKind(
    name="intent",
    table="attempt",
    keys=("seq", "number"),
    columns=("seq", "number", "act", "via", "started"),
)
RESULT = EntryKind(
    name="result",
    table="attempt",
    keys=("seq", "number"),
    columns=("seconds", "status", "code", "message", "verdict", "sent", "pods", "seq", "number"),
    begins_row=False,
)
OUTCOME = EntryKind(
    name="outcome",
    table="target",
    columns=("outcome", "reason", "evidence", "seconds", "ended", "seq"),
    begins_row=False,
)
ENTRY_KINDS: Mapping[str, EntryKind] = {
    kind.name: kind
    for kind in (
        *(META, TARGET, DEPENDENCY, APPROVED, SNAPSHOT, USAGE),
        *(SESSION, SESSION_END, NOTE, INTENT, RESULT, OUTCOME),
    )
}
"""Together they have every column of every table but the ledger's own."""

BATCHED: Mapping[str, EntryKind] = {
    INSERT_INTENT: INTENT,
    UPDATE_RESULT: RESULT,
    UPDATE_OUTCOME: OUTCOME,
}
"""The three statements that every target needs. Their values are their entries, so that they return nothing.

Within one commit their order does not matter, but that an intent comes before its result.
"""


class LedgerHead(NamedTuple):
    """The newest row of a ledger."""

    number: int = 0
    hash: bytes = b""
    mac: bytes | None = None


class Ledger:
    """Appends to the ledger of a journal that is open for writing, always inside a transaction.

    With a ``key`` each row is signed: its HMAC-SHA256 stands beside its hash.
    """

    def __init__(self, database: Database, head: LedgerHead, key: Secret | None) -> None:
        self._database = database
        self._key = None if key is None else key.reveal().encode()
        self._head = self._durable = head
        self._entries: list[tuple[str, list[Entry]]] = []
        """By kind; two neighbours are of different kinds."""
        self._count = 0

    @property
    def head(self) -> LedgerHead:
        """The newest row that is durable."""
        return self._durable

    def enter(self, kind: EntryKind, entries: Sequence[Entry]) -> None:
        """Add entries of the transaction under way."""
        if kind.digested:
            entries = list(map(kind.shorten, entries))
        if self._entries and self._entries[-1][0] == kind.name:
            self._entries[-1][1].extend(entries)
        else:
            self._entries.append((kind.name, list(entries)))
        self._count += len(entries)
        if self._count >= MOST_ENTRIES:
            self.seal()

    def seal(self) -> None:
        """Write the row for all entries since the last one; nothing if there are none."""
        if not self._entries:
            return
        entries = _encode(self._entries)
        self._entries, self._count = [], 0
        number, digest = self._head.number + 1, chain_hash(self._head, entries)
        self._head = LedgerHead(number, digest, None if self._key is None else sign_hash(self._key, digest))
        self._database.run(_INSERT, (*self._head, entries))

    def accept(self) -> None:
        """Go on from here: the transaction was committed."""
        self._durable = self._head

    def discard(self) -> None:
        """Forget the transaction, which was undone."""
        self._entries, self._count = [], 0
        self._head = self._durable


def chain_hash(before: LedgerHead, entries: bytes) -> bytes:
    """Return the hash of a row: SHA-256 over hash and HMAC of the row before (or zeros), and its entries."""
    return hashlib.sha256(before.hash + (before.mac or _NO_MAC) + entries).digest()


def sign_hash(key: bytes, digest: bytes) -> bytes:
    """Return the HMAC-SHA256 of a row's hash."""
    return hmac.digest(key, b"undeploy journal\0" + digest, "sha256")


def begin_ledger(database: Database, key: Secret | None = None) -> None:
    """Enter all that a journal without a ledger holds. Call it inside a transaction, before any session."""
    ledger = Ledger(database, LedgerHead(), key)
    for kind in ENTRY_KINDS.values():
        for entries in _read_in_parts(database, kind):
            ledger.enter(kind, entries)
    ledger.seal()


def _read_in_parts(database: Database, kind: EntryKind) -> Iterator[list[Entry]]:
    entries: list[Entry] = []
    for row in database.rows(kind.query):
        entries.append(row)
        if len(entries) == MOST_ENTRIES:
            yield entries
            entries = []
    if entries:
        yield entries


def go_on_with_ledger(database: Database, key: Secret | None = None) -> None:
    """Let a journal that was opened for writing keep its ledger. One that never had a ledger gets none.

    Raises UsageError if the newest row is signed, and not with the ``key`` that is given, and JournalError
    if it cannot be read.
    """
    head = _read_head(database)
    if head is None:
        return
    if key is not None and head.mac is not None and not is_signed(head, key):
        raise UsageError(
            f"{database.path}: the journal is signed with another key than that of --journal-key, or was"
            " forged; nothing was sent"
        )
    database.ledger = Ledger(database, head, key)


def is_signed(row: LedgerHead, key: Secret) -> bool:
    """Return whether the HMAC of a row is that of its hash."""
    expected = sign_hash(key.reveal().encode(), row.hash)
    return row.mac is not None and hmac.compare_digest(expected, row.mac)


def read_journal_head(database: Database) -> str | None:
    """Return the hash of the newest row in hexadecimal digits; None where a journal has no ledger.

    Raises JournalError for a row that this program cannot have written.
    """
    head = _read_head(database)
    return None if head is None else head.hash.hex()


def _read_head(database: Database) -> LedgerHead | None:
    for number, digest, mac in database.rows(_LAST):
        if not isinstance(digest, bytes) or not isinstance(mac, bytes | None):
            raise make_damage_error("the newest row of its ledger has no hash", database.path)
        return LedgerHead(number, digest, mac)
    return None
