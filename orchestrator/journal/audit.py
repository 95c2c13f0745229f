"""The audit of a journal: its ledger against itself, and every row of every table against the ledger.

The ledger streams into a temporary table, so that memory grows neither with targets nor with attempts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.errors import DiskError, JournalError
from orchestrator.journal.database import Database
from orchestrator.journal.folder import RunFolder
from orchestrator.journal.ledger import (
    ENTRY_KINDS,
    EntryKind,
    LedgerHead,
    chain_hash,
    digest_values,
    is_signed,
)
from orchestrator.journal.structure import list_structure_faults
from orchestrator.model.credentials import Secret
from orchestrator.text.characters import show_briefly
from orchestrator.text.counting import count_noun, join_words

MOST_FAULTS = 20
"""Faults that an audit names; it counts the others."""

LARGEST_ROW = 64 << 20
"""Bytes of entries in one row of a ledger. No commit writes so many, so a larger row is not read."""

LONGEST_VALUE = 60
"""Characters that a fault quotes of a value."""

REPORT_BEGINNING = 1 << 20
"""Bytes of report.json that may come before the head of its journal: facts about the run."""

# A quote inside a text is escaped in JSON, so that no name of a plan looks like this.
_NOTED_HEAD = re.compile(rb'"journal_head": ?"([0-9a-f]{64})"')
_ROWS = f"""
SELECT number, hash, mac, CASE WHEN length(entries) <= {LARGEST_ROW} THEN entries END FROM ledger
ORDER BY number
"""
# `first` and `second` are the keys of an entry: two of an attempt, one of most rows.
EXPECTED = """
CREATE TEMP TABLE expected (
    kind TEXT, first, second, number INTEGER, row BLOB, PRIMARY KEY (kind, first, second)
) WITHOUT ROWID
"""
_EXPECT = "INSERT OR REPLACE INTO expected VALUES (?, ?, ?, ?, ?)"
# The + takes the type from a column: with a type SQLite would convert each `first` and search no index.
_COMPARED = """
SELECT expected.number, expected.row, {columns} FROM {table} AS kept LEFT JOIN expected
ON expected.kind = '{kind}' AND expected.first = +kept.{first} AND expected.second = {second}
"""
_REMOVED = """
SELECT number, first, second FROM expected WHERE kind = '{kind}' AND NOT EXISTS (
    SELECT 1 FROM {table} AS kept WHERE kept.{first} = expected.first AND expected.second = {second}
)
"""
_encode = msgspec.msgpack.Encoder().encode
_decode_groups = msgspec.msgpack.Decoder(list[tuple[str, list[list[Any]]]]).decode
_decode_row = msgspec.msgpack.Decoder(list[Any]).decode


class JournalAudit(Struct, frozen=True, kw_only=True):
    """The result of an audit."""

    commits: int
    """Rows of the ledger."""
    entries: int
    head: str | None
    """The hash of the newest row in hexadecimal digits; None without a ledger."""
    signed: int
    """Rows whose HMAC is that of the given key."""
    faults: tuple[str, ...]
    """In words; at most ``MOST_FAULTS``."""
    more_faults: int = 0

    @property
    def holds(self) -> bool:
        """Whether the journal is as the program wrote it, as far as an audit can tell."""
        return not self.faults


def audit_journal(
    database: Database, *, key: Secret | None = None, heads: Iterable[tuple[str, str]] = ()
) -> JournalAudit:
    """Audit a journal, at one moment of a run that may go on.

    With a ``key`` each row of the ledger must be signed with it. ``heads`` are hashes in hexadecimal digits
    that were noted earlier, each behind the words for its source: the ledger must still have each of them.
    """
    with database.translate_errors():
        database.run("BEGIN")
        database.run(EXPECTED)
    ledger = _LedgerReader(database, key, dict(heads))
    faults = _find_faults(database, ledger)
    named = tuple(islice(faults, MOST_FAULTS))
    return JournalAudit(
        more_faults=sum(1 for _ in faults),
        faults=named,
        commits=ledger.row.number,
        entries=ledger.entries,
        head=ledger.row.hash.hex() or None,
        signed=ledger.signed,
    )


def list_noted_heads(folder: RunFolder, given: str | None) -> list[tuple[str, str]]:
    """Return the heads that were noted outside of a journal: in the run's report.json, and ``given``."""
    noted = [] if given is None else [("--head", given)]
    with suppress(OSError), (folder.path / "report.json").open("rb") as file:
        if found := _NOTED_HEAD.search(file.read(REPORT_BEGINNING)):
            noted.append(("report.json", found[1].decode()))
    return noted


def _find_faults(database: Database, ledger: _LedgerReader) -> Iterator[str]:
    strange = list(islice(list_structure_faults(database), MOST_FAULTS))
    yield from strange
    if strange:  # what such tables tell is worth nothing
        return
    yield from ledger.read()
    if not ledger.row.number:
        yield (
            "the journal has no ledger: an earlier version of the program made it, or the ledger was removed"
        )
        return
    for kind in ENTRY_KINDS.values():
        yield from _compare(database, kind)


class _LedgerReader:
    """Reads the ledger once: checks the hash and the HMAC of each row, and collects the entries."""

    def __init__(self, database: Database, key: Secret | None, heads: dict[str, str]) -> None:
        self._database = database
        self._key = key
        self._heads = heads
        self.row = LedgerHead()
        """The last row that was read."""
        self.entries = 0
        self.signed = 0

    def read(self) -> Iterator[str]:
        """Yield the faults of the ledger itself."""
        missing = dict(self._heads)
        unsigned = _NumberRanges()
        for number, *columns in self._database.rows(_ROWS):
            yield from self._check_row(number, *columns)
            missing = {source: head for source, head in missing.items() if head != self.row.hash.hex()}
            if self._key is not None:
                if is_signed(self.row, self._key):
                    self.signed += 1
                else:
                    unsigned.add(number)
        # A journal without a ledger has a fault of its own.
        for source, head in missing.items() if self.entries else ():
            yield (
                f"{source} names the head {head[:16]}…, which the ledger does not have:"
                " commits were cut off, or the journal was replaced"
            )
        if unsigned:
            yield f"{unsigned} not signed with this key: forged, or written without the key"

    def _check_row(self, number: int, digest: Any, mac: Any, entries: Any) -> Iterator[str]:
        # A column may have any type once it was changed.
        before, chained = self.row, entries if isinstance(entries, bytes) else b""
        self.row = LedgerHead(
            number,
            digest if isinstance(digest, bytes) else b"",
            mac if isinstance(mac, bytes) else None,
        )
        if number != before.number + 1:
            yield f"the commits {before.number + 1:,} to {number - 1:,} are missing from the ledger"
        elif chain_hash(before, chained) != self.row.hash:
            yield f"commit {number:,} was changed in the ledger, or the one before it"
        try:
            self._expect(number, chained)
        except DiskError:
            raise
        except (msgspec.DecodeError, JournalError, KeyError, TypeError, ValueError, RecursionError):
            yield f"commit {number:,} of the ledger cannot be read"

    def _expect(self, number: int, entries: bytes) -> None:
        """Collect the entries of a row. An entry of a later row takes the place of an earlier one."""
        for name, group in _decode_groups(entries):
            kind = ENTRY_KINDS[name]
            rows = [_make_expected(kind, number, entry) for entry in group]
            self._database.run_many(_EXPECT, rows)
            self.entries += len(rows)


def _make_expected(kind: EntryKind, number: int, entry: Sequence[Any]) -> tuple[Any, ...]:
    if kind.digested:
        *keys, digest = entry
        return kind.name, *_pad_keys(keys), number, _encode([digest])
    columns = dict(zip(kind.columns, entry, strict=True))
    keys = [columns[name] for name in kind.keys]
    return kind.name, *_pad_keys(keys), number, _encode([columns[name] for name in kind.values])


def _pad_keys(keys: Sequence[Any]) -> tuple[Any, Any]:
    first, *more = keys
    return first, more[0] if more else 0


class _NumberRanges:
    """Numbers of commits, told as ranges."""

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []

    def add(self, number: int) -> None:
        """Add a number, which is greater than all before."""
        if self._ranges and self._ranges[-1][1] == number - 1:
            self._ranges[-1][1] = number
        elif len(self._ranges) <= MOST_FAULTS:
            self._ranges.append([number, number])

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __str__(self) -> str:
        shown = [f"{a:,}" if a == b else f"{a:,} to {b:,}" for a, b in self._ranges[:MOST_FAULTS]]
        if len(self._ranges) > MOST_FAULTS:
            shown.append("others")
        is_one = len(shown) == 1 and self._ranges[0][0] == self._ranges[0][1]
        return f"commit {shown[0]} is" if is_one else f"commits {join_words(shown)} are"


def list_queries(kind: EntryKind) -> tuple[str, ...]:
    """Return the query for the rows of a kind, each beside its entry, and the query for removed rows."""
    first, *more = kind.keys
    names = {
        "kind": kind.name,
        "table": kind.table,
        "first": first,
        "second": f"+kept.{more[0]}" if more else "0",
    }
    columns = ", ".join(f"kept.{name}" for name in (*kind.keys, *kind.values))
    compared = _COMPARED.format(columns=columns, **names)
    return (compared, _REMOVED.format(**names)) if kind.begins_row else (compared,)


def _compare(database: Database, kind: EntryKind) -> Iterator[str]:
    """Yield the rows of a table that are not as the ledger has them."""
    compared, *removed = list_queries(kind)
    cut = len(kind.keys)
    for number, expected, *row in database.rows(compared):
        keys, values = row[:cut], row[cut:]
        if expected is None:
            if kind.begins_row or any(value is not None for value in values):
                yield f"{_describe_row(database, kind, keys)} is in the journal, and no commit wrote it"
        elif fault := _compare_values(kind, _decode_row(expected), values):
            yield f"{_describe_row(database, kind, keys)} was changed after commit {number:,}: {fault}"
    for query in removed:
        for number, *keys in database.rows(query):
            yield f"{_describe_row(database, kind, keys)}, which commit {number:,} wrote, was removed"


def _compare_values(kind: EntryKind, expected: list[Any], values: list[Any]) -> str:
    """Return in words how a row differs from its entry; empty where it does not."""
    if kind.digested:
        same = digest_values(values) == expected[0]
        return "" if same else f"its {join_words(kind.values)} have another digest"
    return "; ".join(
        f"{name} was {_quote(old)} and is {_quote(new)}"
        for name, old, new in zip(kind.values, expected, values, strict=True)
        if old != new
    )


def _quote(value: object) -> str:
    return show_briefly("empty" if value is None else str(value), LONGEST_VALUE)


_WORDS = {
    "meta": "the fact {0} of the run",
    "target": "target {id}",
    "dependency": "the dependency of target {id}",
    "approved": "the approved state of {id}",
    "snapshot": "the snapshot of {id}",
    "usage": "the use of {id}",
    "session": "the beginning of session {0}",
    "session_end": "the end of session {0}",
    "note": "note {0}",
    "intent": "the intent of attempt {1} of {id}",
    "result": "the result of attempt {1} of {id}",
    "outcome": "the outcome of {id}",
}


def _describe_row(database: Database, kind: EntryKind, keys: Sequence[Any]) -> str:
    name = ""
    if "seq" in kind.keys:
        rows = database.rows("SELECT id FROM target WHERE seq = ?", (keys[0],))
        name = next((_quote(found) for (found,) in rows), f"number {_quote(keys[0])}")
    return _WORDS[kind.name].format(*map(_quote, keys), id=name)


def describe_audit(audit: JournalAudit) -> Iterator[str]:
    """Yield the lines that tell a person what an audit has found."""
    if audit.holds:
        told = f"{count_noun(audit.commits, 'commit')} hold, with {count_noun(audit.entries, 'entry')}"
        yield f"the journal is as it was written: {told}"
        if audit.signed:
            yield "all of them are signed with this key"
    yield from audit.faults
    if audit.more_faults:
        yield f"and {count_noun(audit.more_faults, 'fault')} more"
    if audit.head is not None:
        yield f"head: {audit.head}"
