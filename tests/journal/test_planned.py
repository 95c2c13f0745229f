"""A journal whose plan or targets were changed is refused before anything is sent or told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.folder import RunFolder
from tests.support.journals import small

WAYS = (
    "UPDATE target SET id = 'roma/a9' WHERE seq = 2",
    "UPDATE target SET gateway = 1 WHERE seq = 2",
    "UPDATE target SET wave = 1 WHERE seq = 2",
    "UPDATE target SET seq = 9 WHERE seq = 2",
    "UPDATE target SET id = X'726f6d612f6131' WHERE seq = 1",
    "UPDATE meta SET value = replace(value, 'roma.example', 'romb.example') WHERE key = 'plan'",
    "DELETE FROM target WHERE seq = 3",
    "DELETE FROM meta WHERE key = 'plan'",
)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as journal, journal:
        assert journal.execute(statement).rowcount == 1


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    tmp_path.chmod(0o700)
    small(tmp_path)
    return RunFolder(tmp_path)


@pytest.mark.promise(1)
@pytest.mark.parametrize("statement", WAYS)
@pytest.mark.parametrize("write", [True, False])
def test_a_changed_plan_or_target_is_refused(run: RunFolder, statement: str, write: bool) -> None:
    change(run.journal, statement)

    with pytest.raises(JournalError, match=r"damaged \(its plan or its targets were changed since the run"):
        run.open(write=write, checked=True)
    run.open().close()  # an audit says where


@pytest.mark.promise(1)
@pytest.mark.parametrize("write", [True, False])
def test_an_index_that_lacks_a_target_is_refused(run: RunFolder, write: bool) -> None:
    with closing(sqlite3.connect(run.journal)) as journal, journal:
        journal.execute("PRAGMA writable_schema=ON")
        index = journal.execute("SELECT * FROM sqlite_schema WHERE name = 'target_turn'").fetchone()
        journal.execute("DELETE FROM sqlite_schema WHERE name = 'target_turn'")
    change(run.journal, "UPDATE target SET step = 2 WHERE seq = 2")
    with closing(sqlite3.connect(run.journal)) as journal, journal:
        journal.execute("PRAGMA writable_schema=ON")
        journal.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", index)

    with pytest.raises(JournalError, match=r"damaged \(its targets disagree with their index: row 2 missing"):
        run.open(write=write, checked=True)


def test_what_a_run_writes_changes_nothing_of_it(run: RunFolder) -> None:
    change(run.journal, "UPDATE target SET outcome = 'undeployed', reason = 'x', step = 2 WHERE seq = 2")

    run.open(write=True, checked=True).close()


def test_a_journal_of_an_older_version_may_name_another_target_of_its_plan(run: RunFolder) -> None:
    change(run.journal, "DELETE FROM meta WHERE key = 'planned'")
    change(run.journal, WAYS[0])

    run.open(checked=True).close()


@pytest.mark.parametrize(
    "change_of",
    [
        "gateway = 9",
        "gateway = -1",
        "gateway = 'x'",
        "wave = 7",
        "wave = -1",
        "wave = X'00'",
        "id = 'roma'",
        "id = 'roma/a/b'",
        "id = 'roma/a' || char(0) || '/b'",
        "id = 'other/a1'",
        "id = X'726f6d612f6131'",
    ],
)
def test_a_journal_of_an_older_version_names_no_target_that_its_plan_cannot_have(
    run: RunFolder, change_of: str
) -> None:
    change(run.journal, "DELETE FROM meta WHERE key = 'planned'")
    change(run.journal, f"UPDATE target SET {change_of} WHERE seq = 2")

    with pytest.raises(JournalError, match=r"damaged \(its plan or its targets were changed since the run"):
        run.open(checked=True)
