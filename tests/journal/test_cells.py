"""A journal with a cell that the program does not write is refused, and not read into an error."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.cells import SNAPSHOTS, TABLES
from orchestrator.journal.folder import RunFolder
from tests.support.journals import small

ROWS = (
    "INSERT INTO session VALUES (1, 1.0, 2.0, 'ada', '{}', 'complete', NULL, 0, 1.0)",
    "INSERT INTO attempt VALUES (1, 1, 'undeploy', '', 1.0, 0.1, 204, NULL, NULL, 'removed', 1, NULL)",
    "INSERT INTO note VALUES (1, 1, 1.0, NULL, 'warning', 'text')",
    "INSERT INTO snapshot VALUES (1, 1.0, 'up', '{}')",
    "UPDATE target SET outcome = 'undeployed', seconds = 0.5, ended = 2.0 WHERE seq = 1",
)
HARMS = (
    ("target", "UPDATE target SET outcome = 'undeploxed' WHERE seq = 1"),
    ("target", "UPDATE target SET seconds = 'x' WHERE seq = 1"),
    ("target", "UPDATE target SET ended = 1e300 WHERE seq = 1"),
    ("target", "UPDATE target SET reason = X'00ff' WHERE seq = 1"),
    ("attempt", "UPDATE attempt SET act = 'undeplox'"),
    ("attempt", "UPDATE attempt SET verdict = ''"),
    ("attempt", "UPDATE attempt SET started = 9e999"),
    ("attempt", "UPDATE attempt SET status = 1.5"),
    ("session", "UPDATE session SET state = 'completf'"),
    ("session", "UPDATE session SET exit_status = 7"),
    ("session", "UPDATE session SET seconds = 'x'"),
    ("session", "UPDATE session SET started = -1e11"),
    ("session", "UPDATE session SET ended = 253402300799.0"),
    ("note", "UPDATE note SET at = '{}'"),
    ("snapshot", "UPDATE snapshot SET verdict = 'x'"),
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    tmp_path.chmod(0o700)
    path = small(tmp_path)
    for row in ROWS:
        change(path, row)
    return RunFolder(tmp_path)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as journal, journal:
        assert journal.execute(statement).rowcount == 1


@pytest.mark.parametrize(("table", "statement"), HARMS)
def test_a_cell_that_nobody_writes_is_refused(run: RunFolder, table: str, statement: str) -> None:
    change(run.journal, statement)

    with pytest.raises(JournalError, match=f"damaged .in the table `{table}` stands"):
        run.open(checked=True)


@pytest.mark.parametrize("text", ["", "0", "0 x", "1 2 3"])
def test_a_beginning_of_a_wave_that_nobody_writes_is_refused(run: RunFolder, text: str) -> None:
    change(run.journal, f"UPDATE note SET kind = 'leg', text = '{text}'")

    with pytest.raises(JournalError, match=r"damaged \(the note `leg` cannot be read"):
        run.open(checked=True)


@pytest.mark.parametrize("text", ["9 0", "-1 0"])
def test_a_wave_that_the_plan_does_not_have_has_not_begun(run: RunFolder, text: str) -> None:
    change(run.journal, f"UPDATE note SET kind = 'leg', text = '{text}'")

    with pytest.raises(JournalError, match=r"damaged \(its plan has no wave"):
        run.open(checked=True)


def test_a_target_keeps_its_types_where_no_digest_covers_them(run: RunFolder) -> None:
    change(run.journal, "DELETE FROM meta WHERE key = 'planned'")
    change(run.journal, "UPDATE target SET wave = 0.5 WHERE seq = 2")

    with pytest.raises(JournalError, match="damaged"):
        run.open(checked=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"verdict": 7}', "[" * 5000])
def test_json_that_nobody_writes_is_refused(text: str) -> None:
    with pytest.raises(JournalError, match=r"damaged \(a snapshot cannot be read"):
        SNAPSHOTS.decode(text)


def test_what_the_program_writes_is_taken(run: RunFolder) -> None:
    run.open(checked=True).close()


def test_every_table_but_the_facts_and_the_ledger_is_looked_at(run: RunFolder) -> None:
    with closing(sqlite3.connect(run.journal)) as journal:
        rows = journal.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()

    assert {name for (name,) in rows} - {"meta", "ledger"} == set(TABLES)
