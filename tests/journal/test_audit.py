"""What an audit finds: each cell that was changed, each row that is gone or new, and each forged commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.errors import DiskError, UsageError
from orchestrator.journal.audit import EXPECTED, MOST_FAULTS, JournalAudit, audit_journal, list_queries
from orchestrator.journal.database import Database, open_database
from orchestrator.journal.draft import Draft
from orchestrator.journal.ledger import (
    ENTRY_KINDS,
    EntryKind,
    LedgerHead,
    begin_ledger,
    chain_hash,
    digest_values,
    go_on_with_ledger,
    sign_hash,
)
from orchestrator.journal.record import SessionRecord
from orchestrator.journal.schema import AFTER_LOADING
from orchestrator.journal.session_scope import HoldRule, hold_back, leave_up, reopen
from orchestrator.journal.sessions import SessionOptions
from orchestrator.journal.writer import GroupCommitWriter
from orchestrator.model.credentials import Secret
from orchestrator.model.http import Reply
from orchestrator.model.outcome import Outcome, Reason
from orchestrator.model.plan import WaveStep
from orchestrator.model.reading import UNDEPLOY, Reading, Snapshot, Verdict
from orchestrator.model.target import TargetId
from orchestrator.model.usage import Usage
from orchestrator.rules.precheck import StateAtApproval
from orchestrator.rules.retry import TargetEnd
from tests.support.journals import START, finish, place, plan, small, target

KEY = Secret("a key that signs journals")
DONE = Reading(verdict=Verdict.REMOVED, code=None, message=None, pods=("pod-1",), pod_count=2)
DOUBT = Reading(verdict=Verdict.DOUBT, code="APIG.9999", message="System error")
TARGETS = [target(seq, f"roma/a{seq}") for seq in range(1, 8)]
ALL_TABLES = ("meta", "target", "dependency", "snapshot", "approved", "usage", "attempt", "session", "note")


def write_draft(folder: Path, key: Secret | None) -> Path:
    path = folder / "journal.sqlite"
    made = Draft(path)
    for each in TARGETS:
        made.add(each, place(each.seq))
    made.add_dependency(2, TargetId("roma/a1"), place(2))
    finish(made, plan())
    made.approve([("roma/a1", StateAtApproval(state="deployed", revision="7", since=None))])
    hold_back(
        made.database, [HoldRule(Reason.FILTERED, lambda name, _: "--skip" if name == "roma/a7" else None)]
    )
    made.begin_ledger(key)
    made.close()
    return path


async def work(path: Path, session: int, key: Secret | None) -> None:
    """Write a session: a target is down, one failed, one is in doubt, and the rest is not reached."""
    database = open_database(path, write=True)
    if session > 1:
        go_on_with_ledger(database, key)
        with database.transaction():
            leave_up_none(database)
            reopen(database, lambda name, _: name != "roma/a6")
            protects = HoldRule(Reason.PROTECTED, lambda name, _: "x" if name == "roma/a5" else None)
            hold_back(database, [protects])
    go_on_with_ledger(database, key)
    record = SessionRecord(GroupCommitWriter(database), session)
    at = START + 100 * session
    await record.begin(at, '{"user": "ada"}', SessionOptions(only=("roma/**",)))
    record.keep_wave_step(at, WaveStep(0, 0))
    record.keep_pace(at, "roma", 2.5)
    down, failed, doubtful = TARGETS[:3] if session == 1 else TARGETS[2:5]
    for each in (down, failed, doubtful):
        record.keep_snapshot(each, Snapshot(verdict=Verdict.UP), at)
        record.keep_usage(each, Usage(calls=3, hours=72), at)
        await record.keep_intent(each, 2 * session, UNDEPLOY, at + each.seq)
    record.keep_result(down, 2 * session, Reply(204, {}, b"", at), DONE, seconds=0.25)
    record.keep_outcome(down, TargetEnd(Outcome.UNDEPLOYED, None, "204"), seconds=0.5, at=at + 9)
    record.keep_result(failed, 2 * session, Reply(500, {}, b"", at), DOUBT, seconds=0.125)
    record.keep_outcome(failed, TargetEnd(Outcome.FAILED, "refused: no", "code"), seconds=0.5, at=at + 9)
    record.leave_rest("window: it closes", at + 10, gateway=0)
    record.leave_rest("window: it closes", at + 10)
    await record.finish(at + 11, state="stopped", stopped_by="window", exit_status=4, seconds=11.0)
    await record._writing.close()


def leave_up_none(database: Database) -> None:
    database.run("CREATE TEMP TABLE touched_again (id TEXT PRIMARY KEY) WITHOUT ROWID")
    database.run("INSERT INTO touched_again VALUES ('roma/a6')")
    assert leave_up(database, "20261128-000000000-restore-ab12") == {"roma/a6"}


@pytest.fixture(scope="module", params=[None, KEY], ids=["plain", "signed"])
def journal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Secret | None]:
    """A run of two sessions, with a row in each table; and the key that signs it."""
    path = write_draft(tmp_path_factory.mktemp("run"), request.param)
    for session in (1, 2):
        asyncio.run(work(path, session, request.param))
    return path, request.param


def audit(path: Path, key: Secret | None = None, **heads: str) -> JournalAudit:
    with closing(open_database(path, write=False)) as database:
        return audit_journal(database, key=key, heads=heads.items())


@pytest.fixture
def forge(journal: tuple[Path, Secret | None], tmp_path: Path) -> Callable[..., JournalAudit]:
    """Copies the journal, changes the copy, and audits it."""
    path, key = journal
    copy = tmp_path / "journal.sqlite"

    def change(edit: Callable[[sqlite3.Connection], None], **heads: str) -> JournalAudit:
        copy.write_bytes(path.read_bytes())
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            edit(connection)
        return audit(copy, key, **heads)

    return change


Journal = tuple[Path, Secret | None]


def list_cells(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every cell of the journal: its table, its column and the row that holds it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        for table in (*ALL_TABLES, "ledger"):
            for row in map(dict, connection.execute(f"SELECT * FROM {table}")):
                for column in row:
                    yield table, column, row


def list_other_values(value: Any) -> list[Any]:
    match value:
        case None:
            return ["x", 1]
        case int() | float():
            return [value + 1, str(value) + "x", None]
        case bytes():
            return [bytes([value[0] ^ 1]) + value[1:], value[:-1], b"", None]
        case _:
            return [value + " ", "x", None]


def test_all_columns_of_all_tables_have_a_kind_of_entry(journal: Journal) -> None:
    with closing(open_database(journal[0], write=False)) as database:
        kept = {(kind.table, column) for kind in ENTRY_KINDS.values() for column in kind.columns}
        assert kept == {(table, column) for table in ALL_TABLES for column in database.list_columns(table)}


def test_a_journal_that_was_not_touched_holds(journal: Journal) -> None:
    path, key = journal
    found = audit(path, key)

    assert (found.faults, found.commits > 10, found.entries > 50) == ((), True, True)
    assert found.signed == (found.commits if key else 0)


@pytest.mark.long("changes every cell of a journal, one at a time")
def test_any_change_of_any_cell_is_found_and_located(
    journal: Journal, forge: Callable[..., JournalAudit]
) -> None:
    """Exhaustive instead of by sample: each cell of a run with a row in every table, with several values."""
    path, key = journal
    changed = 0
    for table, column, row in list_cells(path):
        if (table, column) == ("ledger", "mac") and key is None:
            continue  # without a key nothing says what an HMAC should be; see docs/audit.md
        for value in list_other_values(row[column]):
            try:
                found = forge(partial(set_cell, table, column, row, value))
            except sqlite3.IntegrityError:
                continue  # the table itself does not take that value
            changed += 1
            assert not found.holds, (table, column, row, value)
            assert_located(table, column, row, " ".join(found.faults))
    assert changed > 500


def set_cell(
    table: str, column: str, row: dict[str, Any], value: Any, connection: sqlite3.Connection
) -> None:
    keys = {"meta": ("key",), "dependency": ("seq", "needs"), "attempt": ("seq", "number")}
    keys |= dict.fromkeys(("session", "note", "ledger"), ("number",))
    names = keys.get(table, ("seq",))
    where = " AND ".join(f"{name} IS ?" for name in names)
    connection.execute(
        f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *(row[name] for name in names))
    )
    assert connection.execute("SELECT changes()").fetchone()[0] == 1


def assert_located(table: str, column: str, row: dict[str, Any], told: str) -> None:
    """The words name the row that was changed."""
    match table:
        case "meta":
            assert f"the fact {row['key']} of the run" in told
        case "ledger":
            assert f"commit {row['number']:,}" in told or f"commits {row['number']:,}" in told
        case "session" | "note":
            assert f"{table} {row['number']}" in told
        case "attempt":
            assert f"attempt {row['number']} of roma/a{row['seq']}" in told
        case "target" if column == "seq":
            assert f"roma/a{row['seq']}" in told or f"number {row['seq']}" in told
        case "target" if column == "id":
            assert "target " in told
        case _:
            assert f"roma/a{row['seq']}" in told


@pytest.mark.parametrize("table", [*ALL_TABLES, "ledger"])
def test_a_row_that_was_removed_is_found(
    table: str, journal: Journal, forge: Callable[..., JournalAudit]
) -> None:
    with closing(sqlite3.connect(journal[0])) as connection:
        count = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    assert count
    for at in range(count - (table == "ledger")):  # the last commit: see the test of the head
        key = "key" if table == "meta" else "number" if table in ("ledger", "session", "note") else "seq"
        found = forge(
            partial(
                run_sql, f"DELETE FROM {table} WHERE {key} = (SELECT {key} FROM {table} LIMIT 1 OFFSET {at})"
            )
        )
        assert not found.holds


def run_sql(statement: str, connection: sqlite3.Connection) -> None:
    connection.execute(statement)


INSERTIONS = {
    "meta": "INSERT INTO meta VALUES ('extra', 1)",
    "target": (
        "INSERT INTO target (seq, id, gateway, wave, file, line, column) VALUES (9, 'roma/x', 0, 0, 0, 1, 1)"
    ),
    "dependency": "INSERT INTO dependency VALUES (3, 1)",
    "snapshot": "INSERT INTO snapshot VALUES (6, 1.0, 'up', '{}')",
    "approved": "INSERT INTO approved VALUES (2, 'deployed', NULL, NULL)",
    "usage": "INSERT INTO usage VALUES (6, 1.0, 0, '{}')",
    "attempt": "INSERT INTO attempt (seq, number, act, via, started) VALUES (1, 9, 'look', 'show', 1.0)",
    "session": "INSERT INTO session (number, started, holder, options) VALUES (3, 1.0, '{}', '{}')",
    "note": "INSERT INTO note (session, at, kind, text) VALUES (1, 1.0, 'warning', 'x')",
    "ledger": "INSERT INTO ledger VALUES (1000, x'00', NULL, x'90')",
}


@pytest.mark.parametrize("table", INSERTIONS)
def test_a_row_that_was_inserted_is_found(table: str, forge: Callable[..., JournalAudit]) -> None:
    found = forge(lambda connection: connection.execute(INSERTIONS[table]))

    assert not found.holds
    assert "no commit wrote it" in found.faults[0] or table == "ledger"


def put_view(table: str, connection: sqlite3.Connection) -> None:
    """Put a view in a table's place, which tells an audit the truth and a report that all went well."""
    connection.execute(f"ALTER TABLE {table} RENAME TO kept")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(kept)")]
    audited = "(SELECT 1 FROM pragma_table_list WHERE name = 'expected')"
    told = f"CASE WHEN {audited} THEN outcome ELSE 'undeployed' END AS outcome"
    shown = ", ".join(told if name == "outcome" else f'"{name}"' for name in columns)
    connection.execute(f"CREATE VIEW {table} AS SELECT {shown} FROM kept")


def drop_keys(table: str, connection: sqlite3.Connection) -> None:
    """Make a table anew without its keys, and put each row into it twice."""
    connection.execute(f"ALTER TABLE {table} RENAME TO kept")
    columns = ", ".join(f'"{row[1]}" {row[2]}' for row in connection.execute("PRAGMA table_info(kept)"))
    connection.execute(f"CREATE TABLE {table} ({columns})")
    for _ in range(2):
        connection.execute(f"INSERT INTO {table} SELECT * FROM kept")
    connection.execute("DROP TABLE kept")


def make_index_lie(connection: sqlite3.Connection) -> None:
    """Give the program's own index other entries than the rows that it stands for, and as many.

    Whoever opens a journal has SQLite look at its pages; newer versions of it count the entries then.
    """
    connection.execute("DROP INDEX target_turn")
    connection.execute("CREATE INDEX target_turn ON target (wave, step, gateway, depth, -seq)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'target_turn'", (AFTER_LOADING,))


@pytest.mark.parametrize("table", [*ALL_TABLES, "ledger"])
@pytest.mark.parametrize("edit", [put_view, drop_keys])
def test_a_table_that_is_not_the_program_s_is_found(
    table: str, edit: Callable[[str, sqlite3.Connection], None], forge: Callable[..., JournalAudit]
) -> None:
    """Each value of it is as it was written, so the ledger alone would not tell."""
    told = " ".join(forge(partial(edit, table)).faults)

    assert f"the table {table} was removed" in told or f"the columns of the table {table} are not" in told


ADDITIONS = {
    "the trigger t on target": "CREATE TRIGGER t AFTER UPDATE ON target BEGIN DELETE FROM note; END",
    "the index lie on attempt": "CREATE INDEX lie ON attempt (verdict)",
    "the view seen": "CREATE VIEW seen AS SELECT 1",
    "the table more": "CREATE TABLE more (x)",
}


@pytest.mark.parametrize(("part", "statement"), ADDITIONS.items())
def test_what_somebody_added_to_the_file_is_found(
    part: str, statement: str, forge: Callable[..., JournalAudit]
) -> None:
    found = forge(partial(run_sql, statement))

    assert found.faults == (f"{part} is none of the program's",)


def test_an_index_that_lies_is_found(forge: Callable[..., JournalAudit]) -> None:
    (fault,) = forge(make_index_lie).faults

    assert fault.startswith("the file disagrees with itself: ")
    assert "target_turn" in fault


def test_a_changed_result_is_told_with_both_values(forge: Callable[..., JournalAudit]) -> None:
    found = forge(lambda it: it.execute("UPDATE attempt SET status = 200 WHERE seq = 2 AND status = 500"))

    (fault,) = found.faults
    assert fault.startswith("the result of attempt 2 of roma/a2 was changed after commit ")
    assert fault.endswith(": status was 500 and is 200")


def test_a_journal_that_was_cut_off_is_found_by_a_head_alone(tmp_path: Path) -> None:
    """Without the commits of its end, and without what they wrote, it is a whole one of an earlier moment."""
    path = write_draft(tmp_path, None)
    asyncio.run(work(path, 1, None))
    earlier, middle = path.read_bytes(), audit(path).head or ""
    asyncio.run(work(path, 2, None))
    end = audit(path).head or ""

    assert audit(path, noted=middle, last=end).holds
    path.write_bytes(earlier)
    assert audit(path, noted=middle).holds
    (fault,) = audit(path, noted=middle, last=end).faults
    assert fault.startswith(f"last names the head {end[:16]}…, which the ledger does not have")


def recompute(connection: sqlite3.Connection, key: bytes | None) -> None:
    """Write the ledger anew, as an attacker would who knows the program but not the key."""
    before = LedgerHead()
    for number, entries in connection.execute(
        "SELECT number, entries FROM ledger ORDER BY number"
    ).fetchall():
        forged = entries.replace(b"APIG.9999", b"APIG.0000")
        digest = chain_hash(before, forged)
        before = LedgerHead(number, digest, key and sign_hash(key, digest))
        connection.execute(
            "UPDATE ledger SET hash = ?, mac = ?, entries = ? WHERE number = ?",
            (digest, before.mac, forged, number),
        )


@pytest.mark.parametrize("key", [None, b"another key than the right one"])
def test_a_forged_ledger_is_found_by_the_key_alone(
    journal: Journal, forge: Callable[..., JournalAudit], key: bytes | None
) -> None:
    def rewrite(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE attempt SET code = 'APIG.0000' WHERE code = 'APIG.9999'")
        recompute(connection, key)

    head = audit(journal[0]).head
    found = forge(rewrite)

    if journal[1] is None:
        assert found.holds  # it agrees with itself; only a head that was noted elsewhere tells
    else:
        assert "not signed with this key: forged" in found.faults[0]
    assert "names the head" in " ".join(forge(rewrite, report=head or "").faults)


def test_a_session_without_the_key_is_told_by_its_commits(tmp_path: Path) -> None:
    path = write_draft(tmp_path, KEY)
    asyncio.run(work(path, 1, KEY))
    signed = audit(path, KEY).commits
    asyncio.run(work(path, 2, None))

    found = audit(path, KEY)

    assert found.signed == signed
    (fault,) = found.faults
    assert fault.startswith(f"commits {signed + 1:,} to {found.commits:,} are not signed with this key")
    assert audit(path).holds


def test_a_resume_with_another_key_is_refused(tmp_path: Path) -> None:
    path = write_draft(tmp_path, KEY)

    with closing(open_database(path, write=True)) as database, pytest.raises(UsageError, match="another key"):
        go_on_with_ledger(database, Secret("another key than that one"))


def test_a_journal_without_a_ledger_does_not_hold(tmp_path: Path) -> None:
    found = audit(small(tmp_path))

    assert found.head is None
    assert found.faults == (
        "the journal has no ledger: an earlier version of the program made it, or the ledger was removed",
    )


def test_a_commit_that_failed_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    database = open_database(write_draft(tmp_path, None), write=True)
    go_on_with_ledger(database)
    ledger = database.ledger
    assert ledger is not None
    before = ledger.head

    with pytest.raises(DiskError):
        fail_in_transaction(database)
    assert ledger.head == before
    with database.transaction():
        reopen_all(database)
    assert ledger.head.number == before.number + 1
    database.close()
    assert audit(tmp_path / "journal.sqlite").holds


def fail_in_transaction(database: Database) -> None:
    with database.transaction():
        reopen_all(database)
        raise DiskError("full")


def reopen_all(database: Database) -> None:
    kind = ENTRY_KINDS["outcome"]
    database.change(f"UPDATE target SET reason = 'skipped: x', outcome = 'not_started'{kind.returning}")


def test_a_large_commit_makes_several_rows_of_the_ledger(tmp_path: Path) -> None:
    path = small(tmp_path, 5000)
    with closing(open_database(path, write=True)) as database:
        with database.transaction():
            begin_ledger(database)
        go_on_with_ledger(database)
        writer_of = SessionRecord(_Immediate(database), 1)
        with database.transaction():
            writer_of.leave_rest("window: it closes", START)
        assert max(size for (size,) in database.rows("SELECT length(entries) FROM ledger")) < 200_000
    found = audit(path)
    assert (found.faults, found.commits >= 5) == ((), True)


class _Immediate:
    """Writes each row at once, in the transaction of its caller."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def post(self, statement: str, values: tuple[Any, ...]) -> None:
        self._database.change_in_parts(statement, values)


HOSTILE = [
    b"",
    b"\xc1",
    msgspec.msgpack.encode([["no such kind", [[1]]]]),
    msgspec.msgpack.encode([["outcome", [[1, 2]]]]),
    msgspec.msgpack.encode([["note", [[{}, 1, 1.0, None, "x", "y"]]]]),
    msgspec.msgpack.encode([["target", [[]]]]),
    b"\x91" * 100_000,
]


@pytest.mark.parametrize("entries", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_entries_are_a_fault_and_no_error(tmp_path: Path, entries: bytes) -> None:
    path = write_draft(tmp_path, None)
    with closing(sqlite3.connect(path)) as connection, connection:
        last = LedgerHead(*connection.execute("SELECT number, hash, mac FROM ledger").fetchall()[-1])
        row = (last.number + 1, chain_hash(last, entries), entries)
        connection.execute("INSERT INTO ledger (number, hash, entries) VALUES (?, ?, ?)", row)

    assert f"commit {last.number + 1} of the ledger cannot be read" in audit(path).faults


def test_many_faults_are_named_in_part_and_counted(forge: Callable[..., JournalAudit]) -> None:
    found = forge(lambda connection: connection.execute("UPDATE target SET line = line + 1"))
    assert len(found.faults) == len(TARGETS)

    def rename(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE target SET line = line + 1, outcome = 'failed', reason = 'x'")
        connection.execute("UPDATE attempt SET started = 1, seconds = 1")

    found = forge(rename)
    assert (len(found.faults), found.more_faults > 0) == (MOST_FAULTS, True)


@pytest.mark.parametrize("kind", ENTRY_KINDS.values(), ids=ENTRY_KINDS)
def test_an_audit_searches_for_each_row_by_its_key(tmp_path: Path, kind: EntryKind) -> None:
    """A scan of all entries for each row would take hours for a run of many targets."""
    with closing(open_database(write_draft(tmp_path, None), write=False)) as database:
        database.run(EXPECTED)
        plans = [
            [row[3] for row in database.rows(f"EXPLAIN QUERY PLAN {query}")] for query in list_queries(kind)
        ]
    for plan_ in plans:
        inner = [step for step in plan_ if not step.startswith(("SCAN", "CORRELATED"))]
        assert inner, plan_
        assert all(step.startswith("SEARCH") for step in inner)
        assert sum(step.startswith("SCAN") for step in plan_) <= 1


@pytest.mark.parametrize("number", [1e308, -1e308, 2.0**63, float("inf")])
def test_a_number_that_is_no_integer_of_sqlite_has_a_digest_of_its_own(number: float) -> None:
    assert digest_values([number]) != digest_values([0])


def test_a_whole_number_has_the_same_digest_as_a_float() -> None:
    assert digest_values([2.0, "x"]) == digest_values([2, "x"])
